#include "train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"

namespace shenhong {
namespace {

TEST(Schedule, warms_up_stays_and_decays) {
  const ScheduleConfig config = {.lr = 1, .warmup_steps = 10, .decay_share = 0.2};
  EXPECT_DOUBLE_EQ(learning_rate(config, 0, 100), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate(config, 4, 100), 0.5);
  for (int step = 9; step <= 80; ++step) EXPECT_EQ(learning_rate(config, step, 100), 1) << step;
  EXPECT_DOUBLE_EQ(learning_rate(config, 85, 100), 1 - std::sqrt(0.25));
  EXPECT_DOUBLE_EQ(learning_rate(config, 99, 100), 1 - std::sqrt(0.95));
}

TEST(Schedule, every_shape_falls_from_the_peak_to_its_end) {
  for (const char* decay : {"sqrt", "linear", "cosine", "exponential"}) {
    const ScheduleConfig config = {
        .lr = 2, .warmup_steps = 0, .decay_share = 0.5, .decay = decay, .final_share = 0.1};
    config.validate("[schedule]");
    EXPECT_EQ(learning_rate(config, 5000, 10000), 2) << decay;
    for (int step = 5000; step < 9999; ++step)
      ASSERT_GT(learning_rate(config, step, 10000), learning_rate(config, step + 1, 10000));
    EXPECT_NEAR(learning_rate(config, 9999, 10000), 0.2, 0.001) << decay;
  }
  const ScheduleConfig half = {
      .lr = 1, .warmup_steps = 0, .decay_share = 1, .decay = "exponential", .final_share = 0.25};
  EXPECT_DOUBLE_EQ(learning_rate(half, 50, 100), 0.5);
}

TEST(Schedule, a_run_of_one_step_and_one_without_decay_are_fine) {
  EXPECT_EQ(learning_rate({.lr = 1, .warmup_steps = 0}, 0, 1), 1);
  EXPECT_EQ(learning_rate({.lr = 1, .warmup_steps = 1, .decay_share = 0}, 99, 100), 1);
  EXPECT_EQ(learning_rate({.lr = 1, .warmup_steps = 0, .decay_share = 1}, 0, 1), 1);
}

TEST(Schedule, impossible_settings_are_refused) {
  const ScheduleConfig bad[] = {{.lr = 0},
                                {.lr = NAN},
                                {.warmup_steps = -1},
                                {.decay_share = 1.5},
                                {.decay = "step"},
                                {.decay = "exponential"},
                                {.final_share = -1}};
  for (const ScheduleConfig& config : bad) EXPECT_THROW(config.validate("[schedule]"), Error);
  EXPECT_NO_THROW(ScheduleConfig{}.validate("[schedule]"));
}

}  // namespace
}  // namespace shenhong
