// Watches a run's loss and gradient norm, and says which steps must not be applied: those that are
// not finite, and spikes against the recent past (median + k·MAD of the last good steps).
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "core/json.h"

namespace shenhong {

struct GuardConfig {
  int window = 64;
  double mads = 10;
  double loss_floor = 0.2, norm_floor = 4;
  int max_in_a_row = 3, max_skips = 20;

  template <class Visit>
  void fields(Visit&& v) {
    v("window", window, "good steps that loss and gradient norm are compared with");
    v("mads", mads, "a spike is this many median absolute deviations above the median");
    v("loss_floor", loss_floor, "and at least this share of the median loss above it");
    v("norm_floor", norm_floor, "and at least this share of the median gradient norm above it");
    v("max_in_a_row", max_in_a_row, "skipped steps in a row that end the run");
    v("max_skips", max_skips, "skipped steps in the whole run that end it");
  }

  // Error(kUsage) when a value is out of range.
  void validate(const std::string& where) const;
};

class LossGuard {
 public:
  enum class Verdict {
    kGood,      // apply the step; it joined the window
    kSkip,      // drop the step's gradient
    kDiverged,  // drop it and give up
  };
  struct Judgement {
    Verdict verdict;
    std::string reason;  // for the log; empty when good
  };

  explicit LossGuard(const GuardConfig& config) : config_(config) {}

  // Once per optimizer step, before it is applied.
  Judgement judge(double loss, double gradient_norm);
  int64_t skips() const { return skips_; }

  // For the checkpoint: a resumed run judges as the straight run would.
  Json to_json() const;
  // Error(kBadInput) on anything that to_json does not write.
  void from_json(const Json& json);

 private:
  // Below this many good steps a median says nothing.
  static constexpr size_t kFewest = 16;

  GuardConfig config_;
  std::deque<double> losses_, norms_;
  int64_t in_a_row_ = 0, skips_ = 0;
};

}  // namespace shenhong
