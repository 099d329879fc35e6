#include "infer/skip_calibration.h"

#include <array>

namespace shenhong {
namespace {

// The last drops the rank whatever it weighs.
constexpr std::array<float, 6> kThresholds = {0.3f, 0.5f, 0.65f, 0.8f, 0.9f, 1e9f};

// One rank of one layer: what each threshold costs and spares against none.
struct Ladder {
  size_t layer, rank;
  std::array<double, kThresholds.size() + 1> loss = {}, skipped = {};
  size_t step = 0;  // thresholds below this one are in force
};

// The step up that costs least per reading spared, not only the next one: a ladder need not be
// convex.
struct Climb {
  Ladder* ladder = nullptr;
  size_t step = 0;
  double price = 0;
};

Climb cheapest(std::vector<Ladder>& ladders) {
  Climb best;
  for (Ladder& ladder : ladders) {
    for (size_t step = ladder.step + 1; step < ladder.loss.size(); ++step) {
      const double spared = ladder.skipped[step] - ladder.skipped[ladder.step];
      if (spared <= 0) continue;
      const double price = (ladder.loss[step] - ladder.loss[ladder.step]) / spared;
      if (!best.ladder || price < best.price) best = {&ladder, step, price};
    }
  }
  return best;
}

}  // namespace

int64_t calibration_trials(const ModelConfig& config) {
  int64_t ladders = 0;
  for (const auto& ranks : ExpertSkipping::none(config).below) ladders += int64_t(ranks.size());
  return 1 + ladders * int64_t(kThresholds.size());
}

std::vector<ExpertSkipping> calibrate_skipping(
    const ModelConfig& config, const std::vector<double>& shares,
    const std::function<SkippingTrial(const ExpertSkipping&)>& trial) {
  ExpertSkipping table = ExpertSkipping::none(config);
  const double plain = trial(table).nats_per_token;
  std::vector<Ladder> ladders;
  for (size_t layer = 0; layer < table.below.size(); ++layer) {
    for (size_t rank = 0; rank < table.below[layer].size(); ++rank) {
      Ladder ladder{layer, rank};
      for (size_t i = 0; i < kThresholds.size(); ++i) {
        ExpertSkipping alone = ExpertSkipping::none(config);
        alone.below[layer][rank] = kThresholds[i];
        const SkippingTrial tried = trial(alone);
        ladder.loss[i + 1] = tried.nats_per_token - plain;
        ladder.skipped[i + 1] = double(tried.skipped) / double(std::max<int64_t>(1, tried.chosen));
      }
      ladders.push_back(ladder);
    }
  }
  std::vector<ExpertSkipping> tables;
  for (const double share : shares) {
    while (table.skipped < share) {
      const Climb climb = cheapest(ladders);
      if (!climb.ladder) break;
      Ladder& ladder = *climb.ladder;
      table.skipped += ladder.skipped[climb.step] - ladder.skipped[ladder.step];
      ladder.step = climb.step;
      table.below[ladder.layer][ladder.rank] = kThresholds[climb.step - 1];
    }
    tables.push_back(table);
  }
  return tables;
}

}  // namespace shenhong
