#include "grounding/span_choice.h"

#include <gtest/gtest.h>

namespace shenhong {
namespace {

constexpr int kEnd = 9, kOther = 8, kVocabulary = 10;

std::vector<bool> special() {
  std::vector<bool> special(kVocabulary, false);
  special[kEnd] = special[kOther] = true;
  return special;
}

// Logits of a model that wants these tokens, the first most.
std::vector<float> wants(std::initializer_list<int> tokens) {
  std::vector<float> logits(kVocabulary, 0);
  float score = 12;
  for (const int token : tokens) logits[size_t(token)] = score--;
  return logits;
}

TEST(SpanChoice, follows_the_spelling_that_the_model_means) {
  const std::vector<std::vector<int>> spellings = {{1, 2}, {1, 3, 4}};
  const auto controls = special();
  SpanChoice span(spellings, {kEnd}, controls);
  EXPECT_EQ(span.next(wants({1})), 1);
  EXPECT_EQ(span.next(wants({3, 2})), 3);
  EXPECT_EQ(span.next(wants({4})), 4);
  EXPECT_EQ(span.next(wants({kEnd})), kEnd);
  EXPECT_EQ(span.tokens(), (std::vector<int>{1, 3, 4}));
  EXPECT_FALSE(span.free());
  EXPECT_GT(span.probability(), 0.5);
}

TEST(SpanChoice, does_not_stop_inside_a_spelling) {
  const std::vector<std::vector<int>> spellings = {{1, 2}};
  const auto controls = special();
  SpanChoice span(spellings, {kEnd}, controls);
  span.next(wants({1}));
  // Both go on and end are likely, but only 2 leads to a name.
  EXPECT_EQ(span.next(wants({2, kEnd})), 2);
}

// A name that the graph does not hold is not bent to the nearest that it does.
TEST(SpanChoice, becomes_free_where_the_model_means_something_else) {
  const std::vector<std::vector<int>> spellings = {{1, 2}};
  const auto controls = special();
  SpanChoice span(spellings, {kEnd}, controls);
  EXPECT_EQ(span.next(wants({1})), 1);
  EXPECT_EQ(span.next(wants({2})), 2);
  EXPECT_EQ(span.next(wants({5})), 5);
  EXPECT_TRUE(span.free());
  EXPECT_EQ(span.next(wants({kOther, kEnd})), kEnd) << "other control tokens are no part of it";
  EXPECT_EQ(span.tokens(), (std::vector<int>{1, 2, 5}));
}

TEST(SpanChoice, leaves_out_what_cannot_be_meant_unless_it_is_meant_all_the_same) {
  const std::vector<std::vector<int>> spellings = {{1}, {2}, {3}};
  const auto controls = special();
  std::vector<float> logits(kVocabulary, -20);
  logits[1] = 2, logits[2] = 1.8f, logits[3] = 1.5f;
  SpanChoice plain(spellings, {kEnd}, controls);
  EXPECT_EQ(plain.next(logits), 1);
  SpanChoice without(spellings, {kEnd}, controls, {false, true, true});
  EXPECT_EQ(without.next(logits), 2);
  EXPECT_GT(without.probability(), plain.probability());
  logits[1] = 10;
  SpanChoice impossible(spellings, {kEnd}, controls, {false, true, true});
  EXPECT_EQ(impossible.next(logits), 1);
  EXPECT_TRUE(impossible.free());
}

TEST(SpanChoice, is_never_empty_and_never_endless) {
  const std::vector<std::vector<int>> none;
  const auto controls = special();
  SpanChoice span(none, {kEnd}, controls);
  EXPECT_NE(span.next(wants({kEnd, 3})), kEnd);
  int tokens = 1;
  while (span.next(wants({3})) != kEnd) ASSERT_LT(++tokens, 100);
}

}  // namespace
}  // namespace shenhong
