#include "infer/stop_strings.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace shenhong {
namespace {

std::string stream(const std::vector<std::string>& stops, const std::vector<std::string>& pieces,
                   bool* stopped = nullptr) {
  StopStrings matcher(stops);
  std::string out;
  for (const std::string& piece : pieces) out += matcher.push(piece);
  if (stopped) *stopped = matcher.stopped();
  return out + matcher.finish();
}

TEST(StopStrings, end_the_text_wherever_it_is_cut) {
  const std::string text = "床前明月光\n\n疑是地上霜";
  for (size_t a = 0; a <= text.size(); ++a)
    for (size_t b = a; b <= text.size(); ++b) {
      bool stopped = false;
      const std::vector<std::string> pieces = {text.substr(0, a), text.substr(a, b - a),
                                               text.substr(b)};
      EXPECT_EQ(stream({"\n\n", "上霜。"}, pieces, &stopped), "床前明月光");
      EXPECT_TRUE(stopped);
    }
}

TEST(StopStrings, a_false_start_is_given_back) {
  EXPECT_EQ(stream({"abcd"}, {"ab", "cab", "cx", "abc"}), "abcabcxabc");
  EXPECT_EQ(stream({"aab"}, {"a", "a", "a", "b", "z"}), "a");
}

TEST(StopStrings, the_one_that_is_complete_first_wins_however_the_text_is_cut) {
  const std::vector<std::string> stops = {"abcd", "bc"};
  EXPECT_EQ(stream(stops, {"xabcd"}), "xa");
  EXPECT_EQ(stream(stops, {"xab", "cd"}), "xa");
  EXPECT_EQ(stream({"bc", "abc"}, {"xabc"}), "x");
}

TEST(StopStrings, what_cannot_be_part_of_a_stop_is_not_held_back) {
  StopStrings matcher({"###"});
  EXPECT_EQ(matcher.push("你好#"), "你好");
  EXPECT_EQ(matcher.push("!"), "#!");
  EXPECT_EQ(matcher.push("###more"), "");
  EXPECT_TRUE(matcher.stopped());
  EXPECT_EQ(matcher.push("more"), "");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopStrings, empty_and_broken_ones_are_refused) {
  EXPECT_THROW(StopStrings({""}), Error);
  EXPECT_THROW(StopStrings({"\xe4\xbd"}), Error);
}

}  // namespace
}  // namespace shenhong
