#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"

namespace shenhong {

void ScheduleConfig::validate(const std::string& where) const {
  SH_CHECK(lr > 0 && std::isfinite(lr), kUsage, "{}: lr = {}: want a number above 0", where, lr);
  SH_CHECK(warmup_steps >= 0, kUsage, "{}: warmup_steps = {}: want 0 or more", where, warmup_steps);
  SH_CHECK(decay_share >= 0 && decay_share <= 1, kUsage, "{}: decay_share = {}: want 0 to 1", where,
           decay_share);
  SH_CHECK(decay == "sqrt" || decay == "linear" || decay == "cosine" || decay == "exponential",
           kUsage, "{}: decay = '{}': want sqrt, linear, cosine or exponential", where, decay);
  SH_CHECK(final_share >= 0 && final_share <= 1, kUsage, "{}: final_share = {}: want 0 to 1", where,
           final_share);
  SH_CHECK(decay != "exponential" || final_share > 0, kUsage,
           "{}: an exponential decay never ends at 0; set final_share, such as 0.1", where);
}

double learning_rate(const ScheduleConfig& config, int64_t step, int64_t total_steps) {
  SH_ASSERT(step >= 0 && step < total_steps);
  const double warmup =
      std::min(1.0, double(step + 1) / double(std::max<int64_t>(1, config.warmup_steps)));
  const int64_t decay_steps = std::llround(config.decay_share * double(total_steps));
  const int64_t decay_start = total_steps - decay_steps;
  if (step < decay_start) return config.lr * warmup;

  const double t = double(step - decay_start) / double(decay_steps);
  const double end = config.final_share;
  double share = 1 - t;
  if (config.decay == "sqrt") share = 1 - std::sqrt(t);
  if (config.decay == "cosine") share = (1 + std::cos(std::numbers::pi * t)) / 2;
  const double factor = config.decay == "exponential" ? std::pow(end, t) : end + (1 - end) * share;
  return config.lr * warmup * factor;
}

}  // namespace shenhong
