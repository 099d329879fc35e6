#include "text/flat_vocabulary.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/json.h"
#include "text/bpe_train.h"
#include "text/special_tokens.h"

namespace shenhong {
namespace {

constexpr const char* kText = "床前明月光，疑是地上霜。the moon and the frost, 1234";

Tokenizer trained() {
  BpeTrainer trainer;
  for (int i = 0; i < 20; ++i) trainer.add(kText);
  return trainer.train(320);
}

TEST(FlatVocabulary, goes_there_and_back) {
  const Tokenizer tokenizer = trained();
  FlatVocabulary flat = flatten_vocabulary(tokenizer.json(), "test");
  ASSERT_EQ(flat.tokens.size(), size_t(tokenizer.vocab_size()));
  EXPECT_EQ(flat.tokens[size_t(tokenizer.bos_id())], kBos);
  EXPECT_EQ(flat.kinds[size_t(tokenizer.bos_id())], FlatVocabulary::kControl);
  EXPECT_EQ(flat.kinds.back(), FlatVocabulary::kNormal);

  // Padding to a model's size is not part of the vocabulary.
  flat.tokens.push_back("[PAD]");
  flat.kinds.push_back(FlatVocabulary::kUnused);
  const Tokenizer back =
      Tokenizer::parse(unflatten_vocabulary(flat, *find_pretokenizer("deepseek-v3")), "back");
  ASSERT_EQ(back.vocab_size(), tokenizer.vocab_size());
  for (int id = 0; id < back.vocab_size(); ++id) {
    EXPECT_EQ(back.token_bytes(id), tokenizer.token_bytes(id));
    EXPECT_EQ(back.is_special(id), tokenizer.is_special(id));
  }
  const std::string markup = std::string(kBos) + kText + "\n\tMoon 床前 😀" + std::string(kEos);
  EXPECT_EQ(back.encode_with_special(markup), tokenizer.encode_with_special(markup));
}

TEST(FlatVocabulary, refuses_what_lists_cannot_say) {
  const auto refused = [](const Json& document) {
    try {
      flatten_vocabulary(dump_json(document), "somewhere");
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Exit::kBadInput);
      return std::string(e.what());
    }
    return std::string();
  };
  const Json good = parse_json(trained().json(), "good");
  EXPECT_EQ(refused(good), "");
  Json other = good;
  other["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "\\p{N}+";
  EXPECT_NE(refused(other).find("somewhere: pre_tokenizer"), std::string::npos);
  other = good;
  other["pre_tokenizer"]["pretokenizers"].erase(0);
  EXPECT_NE(refused(other).find("pre_tokenizer"), std::string::npos);
  other = good;
  other["model"]["ignore_merges"] = true;
  EXPECT_NE(refused(other).find("ignore_merges"), std::string::npos);
}

}  // namespace
}  // namespace shenhong
