// The learning rate over a run: warm-up, stable, decay (WSD; Hu et al. 2024, MiniCPM).
#pragma once

#include <cstdint>
#include <string>

namespace shenhong {

struct ScheduleConfig {
  double lr = 2e-3;
  int64_t warmup_steps = 100;
  double decay_share = 0.2;
  std::string decay = "sqrt";
  double final_share = 0;

  template <class Visit>
  void fields(Visit&& v) {
    v("lr", lr, "peak learning rate, of AdamW and Muon alike");
    v("warmup_steps", warmup_steps, "steps of linear warm-up");
    v("decay_share", decay_share, "share of the run, at its end, in which the rate decays");
    v("decay", decay, "shape of the decay: sqrt (1 - sqrt t), linear, cosine or exponential");
    v("final_share", final_share, "the decay ends at this share of lr; exponential needs > 0");
  }

  // Error(kUsage) when the values make no schedule.
  void validate(const std::string& where) const;
};

// Rate of step 0 <= step < total_steps. The first step already learns, at lr / warmup_steps, and
// the last one still does: the decay's time t runs over [0, 1).
double learning_rate(const ScheduleConfig& config, int64_t step, int64_t total_steps);

}  // namespace shenhong
