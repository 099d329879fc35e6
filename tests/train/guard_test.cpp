#include "train/guard.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/random.h"

namespace shenhong {
namespace {

using Verdict = LossGuard::Verdict;

double noisy_loss(int64_t step) { return 4 + 0.05 * normal(1, 0, uint64_t(step)); }
double noisy_norm(int64_t step) { return 0.5 * std::exp(0.2 * normal(2, 0, uint64_t(step))); }

void train(LossGuard& guard, int64_t steps) {
  for (int64_t step = 0; step < steps; ++step)
    ASSERT_EQ(guard.judge(noisy_loss(step), noisy_norm(step)).verdict, Verdict::kGood) << step;
}

TEST(LossGuard, a_healthy_run_loses_no_step) {
  LossGuard guard({});
  for (int64_t step = 0; step < 5000; ++step) {
    const double loss = 3 + 6 * std::exp(-double(step) / 500) + 0.2 * normal(1, 0, uint64_t(step));
    ASSERT_EQ(guard.judge(loss, noisy_norm(step)).verdict, Verdict::kGood) << step;
  }
  EXPECT_EQ(guard.skips(), 0);
}

TEST(LossGuard, spikes_and_nonsense_are_skipped_and_named) {
  LossGuard guard({});
  train(guard, 100);
  const auto loss = guard.judge(9, 0.5);
  EXPECT_EQ(loss.verdict, Verdict::kSkip);
  EXPECT_NE(loss.reason.find("loss 9 above"), std::string::npos) << loss.reason;
  train(guard, 1);
  const auto norm = guard.judge(4, 50);
  EXPECT_EQ(norm.verdict, Verdict::kSkip);
  EXPECT_NE(norm.reason.find("gradient norm 50 above"), std::string::npos) << norm.reason;
  train(guard, 1);
  for (const double bad : {NAN, INFINITY, -INFINITY}) {
    EXPECT_EQ(guard.judge(bad, 0.5).verdict, Verdict::kSkip);
    EXPECT_EQ(guard.judge(4, bad).verdict, Verdict::kSkip);
    train(guard, 1);
  }
  EXPECT_EQ(guard.skips(), 8);
}

TEST(LossGuard, not_a_number_is_skipped_from_the_first_step) {
  LossGuard guard({});
  EXPECT_EQ(guard.judge(NAN, 1).verdict, Verdict::kSkip);
}

TEST(LossGuard, a_spike_does_not_move_the_window) {
  LossGuard guard({.max_in_a_row = 100, .max_skips = 1000});
  train(guard, 64);
  for (int i = 0; i < 90; ++i) EXPECT_EQ(guard.judge(9, 0.5).verdict, Verdict::kSkip);
}

TEST(LossGuard, gives_up_after_three_in_a_row_or_too_many_in_all) {
  LossGuard row({});
  train(row, 64);
  EXPECT_EQ(row.judge(NAN, 1).verdict, Verdict::kSkip);
  EXPECT_EQ(row.judge(9, 1).verdict, Verdict::kSkip);
  EXPECT_EQ(row.judge(NAN, 1).verdict, Verdict::kDiverged);

  LossGuard total({.max_skips = 5});
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(total.judge(NAN, 1).verdict, Verdict::kSkip);
    train(total, 1);
  }
  EXPECT_EQ(total.judge(NAN, 1).verdict, Verdict::kDiverged);
}

TEST(LossGuard, a_restored_guard_judges_as_the_old_one) {
  LossGuard straight({.window = 20}), first({.window = 20}), second({.window = 20});
  train(straight, 30);
  train(first, 30);
  straight.judge(NAN, 1), first.judge(NAN, 1);
  second.from_json(parse_json(dump_json(first.to_json()), "state.json"));
  EXPECT_EQ(second.to_json(), straight.to_json());
  for (int i = 0; i < 40; ++i) {
    const double loss = 4 + 0.05 * i, norm = 0.5 + 0.1 * i;
    EXPECT_EQ(second.judge(loss, norm).reason, straight.judge(loss, norm).reason);
  }
}

TEST(LossGuard, a_foreign_state_is_refused) {
  LossGuard guard({});
  for (const char* text : {"{}", "[]", R"({"losses":[1],"norms":[],"in_a_row":0,"skips":0})",
                           R"({"losses":["a"],"norms":[1],"in_a_row":0,"skips":0})"})
    EXPECT_THROW(guard.from_json(parse_json(text, "state.json")), Error) << text;
}

}  // namespace
}  // namespace shenhong
