#include "text/bpe_train.h"

#include <gtest/gtest.h>

#include "core/parallel.h"
#include "text/fixture.h"
#include "text/merge_learner.h"
#include "text/pretokenizer.h"
#include "text/special_tokens.h"

namespace shenhong {
namespace {

TEST(BpeTrainer, learns_the_merges_that_the_tokenizers_package_learns) {
  const Json expected = golden("training.json");
  BpeTrainer trainer;
  trainer.add(expected["text"].get<std::string>());
  const int size = int(kSpecialTokens.size() + 256 + expected["merges"].size());
  EXPECT_EQ(parse_json(trainer.train(size).json(), "ours")["model"]["merges"], expected["merges"]);
}

TEST(BpeTrainer, the_number_of_threads_changes_nothing) {
  const int before = thread_count();
  std::string one;
  for (const int threads : {1, 2, 5}) {
    set_thread_count(threads);
    BpeTrainer trainer;
    for (uint64_t i = 0; i < 60; ++i) trainer.add(random_text(i % 7, 3000));
    const std::string json = trainer.train(900).json();
    if (one.empty()) one = json;
    EXPECT_EQ(json, one) << threads;
  }
  set_thread_count(before);
}

TEST(BpeTrainer, neither_does_the_order_of_documents) {
  BpeTrainer forward, backward;
  for (uint64_t i = 0; i < 20; ++i) {
    forward.add(random_text(i, 500));
    backward.add(random_text(19 - i, 500));
  }
  EXPECT_EQ(forward.train(600).json(), backward.train(600).json());
}

TEST(BpeTrainer, a_token_holds_no_more_chinese_characters_than_asked_for) {
  std::string text;
  for (int i = 0; i < 50; ++i)
    text += "床前明月光，疑是地上霜。举头望明月，低头思故乡。international ";
  for (const int limit : {1, 2, 4}) {
    BpeTrainer trainer;
    trainer.add(text);
    const Tokenizer tokenizer = trainer.train(2000, limit);
    int longest = 0;
    bool whole_word = false;
    for (int id = int(kSpecialTokens.size()); id < tokenizer.vocab_size(); ++id) {
      const std::string_view token = tokenizer.token_bytes(id);
      int han = 0;
      for_each_character(token, [&](char32_t c) { han += is_han(c); });
      longest = std::max(longest, han);
      whole_word |= token.find("international") != token.npos;
      EXPECT_TRUE(is_valid_utf8(token) || token.size() <= 3);
    }
    EXPECT_LE(longest, limit);
    EXPECT_GE(longest, std::min(limit, 3));
    EXPECT_TRUE(whole_word);
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  }
}

TEST(BpeTrainer, a_special_tokens_name_in_the_corpus_does_not_become_a_token) {
  MergeLearner learner({"<kg_e>", "abc"}, 0);
  learner.add_word("<kg_e>", 100);
  learner.add_word("abc", 100);
  learner.add_word("abcd", 100);
  learner.learn(400);
  for (size_t id = 2; id < learner.tokens().size(); ++id)
    EXPECT_TRUE(learner.tokens()[id] != "<kg_e>" && learner.tokens()[id] != "abc");
  for (const auto& [left, right] : learner.merges()) EXPECT_TRUE(left >= 2 && right >= 2);
}

TEST(BpeTrainer, no_text_gives_bytes_alone) {
  BpeTrainer trainer;
  const Tokenizer tokenizer = trainer.train(5000);
  EXPECT_EQ(tokenizer.vocab_size(), int(kSpecialTokens.size()) + 256);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("春")), "春");
}

TEST(BpeTrainer, a_vocabulary_without_room_for_bytes_is_refused) {
  BpeTrainer trainer;
  EXPECT_NE(error_of(Exit::kUsage, [&] { trainer.train(100); }).find("vocab_size = 100"),
            std::string::npos);
}

TEST(BpeTrainer, words_of_any_length_and_broken_bytes_are_counted) {
  BpeTrainer trainer;
  std::string run;
  for (int i = 0; i < 5000; ++i) run += "明月";
  trainer.add(run);
  trainer.add(random_bytes(1, 10'000));
  trainer.add(std::string(100'000, ' '));
  trainer.add("");
  const Tokenizer tokenizer = trainer.train(400);
  EXPECT_TRUE(tokenizer.token_id("明月"));
}

}  // namespace
}  // namespace shenhong
