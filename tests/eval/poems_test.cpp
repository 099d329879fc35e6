#include "eval/poems.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "data/held_out_topics.h"

namespace shenhong {
namespace {

const FormShape& kQuatrain = kRegulatedForms[0];

constexpr const char* kGood = "《秋蝉》\n空山闻旧曲，落叶满苔痕。\n独立斜阳里，无人共掩门。";

TEST(EvalPoems, a_good_poem_passes) {
  const PoemVerdict verdict = judge_poem(kGood, kQuatrain, nullptr);
  EXPECT_TRUE(verdict.form_ok);
  EXPECT_TRUE(verdict.rhyme_ok);
  EXPECT_FALSE(verdict.copied);
}

TEST(EvalPoems, a_wrong_form_cannot_rhyme) {
  EXPECT_FALSE(judge_poem(kGood, kRegulatedForms[1], nullptr).form_ok);
  EXPECT_FALSE(judge_poem(kGood, kRegulatedForms[1], nullptr).rhyme_ok);
  for (const char* bad : {"", "好的。", "空山闻旧曲，落叶满苔痕。独立斜阳里，无人共掩门。多一句。",
                          "空山闻旧曲，落叶满苔痕。独立斜阳里，无人共掩。",
                          "空山闻旧曲，落叶满苔痕。独立斜阳里，无人共a门。",
                          "好的，空山闻旧曲，落叶满苔痕。独立斜阳里，无人共掩门。"}) {
    EXPECT_FALSE(judge_poem(bad, kQuatrain, nullptr).form_ok) << bad;
  }
}

TEST(EvalPoems, a_changed_rhyme_word_is_caught) {
  const PoemVerdict verdict =
      judge_poem("空山闻旧曲，落叶满苔痕。\n独立斜阳里，无人共掩扉。", kQuatrain, nullptr);
  EXPECT_TRUE(verdict.form_ok);
  EXPECT_FALSE(verdict.rhyme_ok);
}

TEST(EvalPoems, a_planted_training_line_is_caught_also_in_a_poem_of_the_wrong_form) {
  const LineIndex index({LineIndex::hash("落叶满苔痕"), LineIndex::hash("三字句")});
  EXPECT_TRUE(judge_poem(kGood, kQuatrain, &index).copied);
  EXPECT_TRUE(judge_poem("有人说：“落叶满苔痕。”", kQuatrain, &index).copied);
  EXPECT_FALSE(judge_poem("三字句，三字句。", kQuatrain, &index).copied)
      << "too short to be a copy";
}

TEST(EvalPoems, requests_name_the_form_and_only_topics_held_out) {
  for (const FormShape& form : kRegulatedForms) {
    const std::vector<std::string> requests = poem_requests(form);
    EXPECT_GE(requests.size(), 200u);
    for (const std::string& request : requests) {
      EXPECT_NE(request.find(form.name), std::string::npos) << request;
      EXPECT_EQ(request.find('{'), std::string::npos) << request;
    }
  }
}

TEST(EvalPoems, reports_shares_of_all_samples) {
  const LineIndex index({LineIndex::hash("床前明月光")});
  std::map<std::string, int> asked;
  int calls = 0;
  const Poet answer = [&](const std::string& request, uint64_t) -> std::string {
    ++asked[request];
    // For every form: the good 五绝, one that does not rhyme, one that is copied, and no poem.
    const char* answers[] = {kGood, "空山闻旧曲，落叶满苔痕。\n独立斜阳里，无人共掩扉。",
                             "床前明月光，疑是地上霜。\n举头望明月，低头思故乡。", "我不会。"};
    return answers[calls++ % 4];
  };
  PoemEvalOptions options;
  options.samples = 8;
  options.training_lines = &index;
  const Json result = eval_poems(answer, options);
  EXPECT_EQ(calls, 32);
  EXPECT_EQ(asked.size(), 32u);
  const Json& quatrain = result["forms"]["五绝"];
  EXPECT_EQ(quatrain["samples"], 8);
  EXPECT_EQ(quatrain["form_ok"], 0.75);
  EXPECT_EQ(quatrain["rhyme_ok"], 0.5);
  EXPECT_EQ(quatrain["copied"], 0.25);
  EXPECT_EQ(quatrain["distinct"], 0.5);
  EXPECT_EQ(result["forms"]["七律"]["form_ok"], 0.0);
  EXPECT_EQ(result["forms"].size(), 4u);
}

TEST(EvalPoems, without_an_index_copied_is_unknown_and_seeds_repeat) {
  std::vector<uint64_t> first, second;
  PoemEvalOptions options;
  options.samples = 5;
  for (auto* seeds : {&first, &second}) {
    const Json result = eval_poems(
        [&](const std::string&, uint64_t seed) {
          seeds->push_back(seed);
          return std::string(kGood);
        },
        options);
    EXPECT_TRUE(result["forms"]["五绝"]["copied"].is_null());
    EXPECT_TRUE(result["training_lines"].is_null());
  }
  EXPECT_EQ(first, second);
  EXPECT_EQ(std::set<uint64_t>(first.begin(), first.end()).size(), first.size());
}

}  // namespace
}  // namespace shenhong
