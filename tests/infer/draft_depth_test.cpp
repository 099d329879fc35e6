#include "infer/draft_depth.h"

#include <gtest/gtest.h>

namespace shenhong {
namespace {

// A machine where a step of n rows takes 1 + (n-1)·more and a draft takes `draft`.
StepCosts costs(double more, double draft) {
  StepCosts c;
  for (int rows = 1; rows <= 8; ++rows) c.stepped(rows, 1 + (rows - 1) * more);
  c.drafted(2, 2 * draft);
  return c;
}

// After so many steps in which the first `right` of four drafts were right.
DraftDepth experienced(int right, int steps = 40) {
  DraftDepth depth(kAutoDrafts);
  for (int i = 0; i < steps; ++i) depth.learn(4, right);
  return depth;
}

TEST(DraftDepth, as_many_as_pay) {
  EXPECT_EQ(experienced(4).choose(costs(0.1, 0.1), 1, 8), 4);
  EXPECT_EQ(experienced(2).choose(costs(0.1, 0.1), 1, 8), 2);
  EXPECT_EQ(experienced(0).choose(costs(0.1, 0.1), 1, 8), 0);
  EXPECT_EQ(experienced(4).choose(costs(0.9, 0.2), 1, 8), 0) << "a row costs what a step does";
  EXPECT_EQ(experienced(4).choose(costs(0.1, 0.95), 1, 8), 0) << "a draft costs what a step does";
  EXPECT_EQ(experienced(4).choose(costs(0.1, 0.1), 1, 3), 3) << "no more than are of use";
  EXPECT_EQ(experienced(4).choose(costs(0.1, 0.1), 1, 0), 0);
}

TEST(DraftDepth, a_number_is_a_number) {
  DraftDepth two(2), none(0);
  for (int i = 0; i < 100; ++i) two.learn(2, 0);
  EXPECT_EQ(two.choose(costs(2, 2), 1, 8), 2);
  EXPECT_EQ(two.choose(costs(2, 2), 1, 1), 1);
  EXPECT_EQ(two.choose({}, 1, 8), 2);
  EXPECT_EQ(none.choose(costs(0, 0), 1, 8), 0);
}

// Both sides of the comparison stay known: what is off is tried, what is on pauses, now and then.
TEST(DraftDepth, the_other_thing_is_tried_rarely) {
  for (const auto& [depth, usual] : {std::pair(experienced(0), 0), {experienced(4), 4}}) {
    DraftDepth d = depth;
    int others = 0;
    for (int step = 0; step < 320; ++step) others += d.choose(costs(0.1, 0.1), 1, 8) != usual;
    EXPECT_EQ(others, 10);
  }
}

TEST(DraftDepth, a_text_that_becomes_easier_is_drafted_again) {
  DraftDepth d = experienced(0);
  int drafted = 0;
  for (int step = 0; step < 2000; ++step) {
    const int depth = d.choose(costs(0.1, 0.1), 1, 8);
    d.learn(depth, depth);
    drafted += depth;
  }
  EXPECT_GT(drafted, 2000);
}

TEST(StepCosts, between_what_was_seen_in_proportion_and_beyond_hopefully) {
  StepCosts c;
  EXPECT_FALSE(c.of(1));
  c.stepped(3, 3);
  EXPECT_FALSE(c.of(1)) << "nothing is known of fewer rows";
  EXPECT_EQ(c.of(3), 3);
  EXPECT_EQ(c.of(9), 3);
  c.stepped(7, 4);
  EXPECT_EQ(c.of(4), 3.25);
  EXPECT_EQ(c.of(64), 4);
  EXPECT_FALSE(c.of(65));
}

TEST(StepCosts, one_interrupted_step_says_little) {
  StepCosts c;
  c.stepped(1, 1);
  c.stepped(1, 1000);
  EXPECT_LT(*c.of(1), 1.1);
}

TEST(DraftCounts, count_by_depth) {
  DraftCounts counts;
  counts.add(3, 1);
  counts.add(2, 2);
  counts.add(0, 0);
  EXPECT_EQ(counts.made[0], 2);
  EXPECT_EQ(counts.made[2], 1);
  EXPECT_EQ(counts.accepted[0], 2);
  EXPECT_EQ(counts.accepted[1], 1);
  EXPECT_EQ(counts.accepted[2], 0);
  EXPECT_EQ(counts.all_made(), 5);
  EXPECT_EQ(counts.all_accepted(), 3);
}

TEST(Drafts, are_off_auto_or_a_number) {
  EXPECT_EQ(drafts_of("off"), 0);
  EXPECT_EQ(drafts_of("auto"), kAutoDrafts);
  EXPECT_EQ(drafts_of("3"), 3);
  for (const char* bad : {"", "9", "-1", "2x", "on", " 2", "99999999999"})
    EXPECT_FALSE(drafts_of(bad)) << bad;
}

}  // namespace
}  // namespace shenhong
