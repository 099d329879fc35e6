// Which experts are skipped: for every layer and rank the loss is measured with that rank alone
// dropped below each threshold of a grid, and the cheapest steps are taken first, by loss per
// reading spared. Steps are taken to add up; what a table really costs is measured on other text.
#pragma once

#include <functional>
#include <vector>

#include "infer/expert_skipping.h"

namespace shenhong {

struct SkippingTrial {
  double nats_per_token = 0;
  int64_t chosen = 0, skipped = 0;  // choices of all tokens and layers; of those, dropped
};

int64_t calibration_trials(const ModelConfig& config);

// A table per entry of `shares` (ascending, each from 0 to below 1): one that drops about that
// share of all choices, or as much as can be dropped. `trial` reads the calibration text with a
// table in force, calibration_trials times.
std::vector<ExpertSkipping> calibrate_skipping(
    const ModelConfig& config, const std::vector<double>& shares,
    const std::function<SkippingTrial(const ExpertSkipping&)>& trial);

}  // namespace shenhong
