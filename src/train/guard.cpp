#include "train/guard.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"

namespace shenhong {
namespace {

double median(std::vector<double> values) {
  const auto middle = values.begin() + std::ptrdiff_t(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// The largest value that is no spike.
double limit(const std::deque<double>& window, double mads, double floor) {
  const double center = median({window.begin(), window.end()});
  std::vector<double> deviations;
  for (const double value : window) deviations.push_back(std::abs(value - center));
  return center + std::max(mads * median(std::move(deviations)), floor * std::abs(center));
}

}  // namespace

void GuardConfig::validate(const std::string& where) const {
  SH_CHECK(window >= 16 && window <= 4096, kUsage, "{}: window = {}: want 16 to 4096", where,
           window);
  SH_CHECK(mads > 0 && loss_floor > 0 && norm_floor > 0, kUsage,
           "{}: mads = {}, loss_floor = {}, norm_floor = {}: want numbers above 0", where, mads,
           loss_floor, norm_floor);
  SH_CHECK(max_in_a_row >= 1 && max_skips >= 1, kUsage,
           "{}: max_in_a_row = {}, max_skips = {}: want 1 or more", where, max_in_a_row, max_skips);
}

LossGuard::Judgement LossGuard::judge(double loss, double gradient_norm) {
  std::string reason;
  if (!std::isfinite(loss) || !std::isfinite(gradient_norm)) {
    reason = fmt::format("loss {} with gradient norm {}", loss, gradient_norm);
  } else if (losses_.size() >= kFewest) {
    const double highest_loss = limit(losses_, config_.mads, config_.loss_floor);
    const double highest_norm = limit(norms_, config_.mads, config_.norm_floor);
    if (loss > highest_loss)
      reason = fmt::format("loss {:.4g} above {:.4g}", loss, highest_loss);
    else if (gradient_norm > highest_norm)
      reason = fmt::format("gradient norm {:.4g} above {:.4g}", gradient_norm, highest_norm);
  }
  if (reason.empty()) {
    in_a_row_ = 0;
    losses_.push_back(loss);
    norms_.push_back(gradient_norm);
    while (losses_.size() > size_t(config_.window)) losses_.pop_front(), norms_.pop_front();
    return {Verdict::kGood, ""};
  }
  ++in_a_row_, ++skips_;
  if (in_a_row_ >= config_.max_in_a_row)
    return {Verdict::kDiverged, fmt::format("{}; {} such steps in a row", reason, in_a_row_)};
  if (skips_ >= config_.max_skips)
    return {Verdict::kDiverged, fmt::format("{}; {} such steps in the run", reason, skips_)};
  return {Verdict::kSkip, reason};
}

Json LossGuard::to_json() const {
  return {{"losses", losses_}, {"norms", norms_}, {"in_a_row", in_a_row_}, {"skips", skips_}};
}

void LossGuard::from_json(const Json& json) {
  try {
    losses_ = json.at("losses").get<std::deque<double>>();
    norms_ = json.at("norms").get<std::deque<double>>();
    in_a_row_ = json.at("in_a_row").get<int64_t>();
    skips_ = json.at("skips").get<int64_t>();
  } catch (const nlohmann::json::exception&) {
    fail(Exit::kBadInput, "loss guard: its state in the checkpoint is not what was written");
  }
  SH_CHECK(losses_.size() == norms_.size(), kBadInput,
           "loss guard: {} losses beside {} gradient norms in the checkpoint", losses_.size(),
           norms_.size());
}

}  // namespace shenhong
