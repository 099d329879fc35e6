#include "text/pretokenizer.h"

#include <gtest/gtest.h>

#include "text/fixture.h"
#include "text/named_pretokenizers.h"
#include "text/regex_dialect.h"

namespace shenhong {
namespace {

std::vector<std::string> words_of(const std::string& text, const Pretokenizer& pretokenizer) {
  std::vector<std::string_view> words;
  pretokenizer.split(text, words);
  return {words.begin(), words.end()};
}

std::vector<std::string> words_of(const std::string& text) {
  static const Pretokenizer pretokenizer(deepseek_pretokenizer(), "test");
  return words_of(text, pretokenizer);
}

TEST(Pretokenizer, cuts_as_the_tokenizers_package_does) {
  const Json cases = golden("pretokens.json")["cases"];
  for (const Json& example : cases)
    EXPECT_EQ(words_of(example["text"]), example["words"].get<std::vector<std::string>>())
        << example["text"];
}

TEST(Pretokenizer, those_with_a_name_cut_as_the_tokenizers_package_does) {
  const Json json = golden("named_words.json");
  for (const auto& [name, words] : json["words"].items()) {
    const NamedPretokenizer* named = find_pretokenizer(name);
    ASSERT_NE(named, nullptr) << name;
    const Pretokenizer pretokenizer(named->description, name);
    for (size_t i = 0; i < words.size(); ++i)
      EXPECT_EQ(words_of(json["texts"][i], pretokenizer), words[i].get<std::vector<std::string>>())
          << name << ": " << json["texts"][i];
  }
}

TEST(Pretokenizer, words_put_together_are_the_text) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const std::string text = random_text(seed, 100);
    std::string together;
    for (const std::string& word : words_of(text)) {
      EXPECT_FALSE(word.empty());
      together += word;
    }
    EXPECT_EQ(together, text);
  }
}

TEST(Pretokenizer, a_kind_of_step_that_is_not_supported_is_named) {
  const auto error = [](const char* description) {
    return error_of(Exit::kBadInput,
                    [&] { Pretokenizer(parse_json(description, "test"), "x.json"); });
  };
  const Json good = deepseek_pretokenizer();
  EXPECT_EQ(error(dump_json(good).c_str()), "");
  EXPECT_NE(error("null").find("x.json: pre_tokenizer: want an object"), std::string::npos);
  EXPECT_NE(
      error(R"({"type": "Metaspace"})").find(R"(pre_tokenizer.type = "Metaspace": not supported)"),
      std::string::npos);
  EXPECT_NE(error(R"({"type": "Sequence", "pretokenizers": []})").find("no 'ByteLevel' step"),
            std::string::npos);
  EXPECT_NE(error(R"({"type": "ByteLevel"})").find("add_prefix_space"), std::string::npos);
  EXPECT_NE(
      error(R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "a("},
                      "behavior": "Isolated"}]})")
          .find("pretokenizers[0]: regular expression 'a('"),
      std::string::npos);
  EXPECT_NE(
      error(R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "a"},
                      "behavior": "Removed"}]})")
          .find(R"(behavior = "Removed")"),
      std::string::npos);
}

TEST(Pretokenizer, an_expression_that_never_ends_is_an_error) {
  const Json hostile = parse_json(R"({"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": "(a+)+[bc]"}, "behavior": "Isolated"},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})",
                                  "test");
  const Pretokenizer pretokenizer(hostile, "x.json");
  std::vector<std::string_view> words;
  const std::string text(40, 'a');
  EXPECT_NE(error_of(Exit::kBadInput, [&] { pretokenizer.split(text, words); }).find("gave up"),
            std::string::npos);
}

TEST(RegexDialect, rewrites_space_and_categories_inside_and_outside_of_classes) {
  EXPECT_EQ(to_pcre2(R"(a\\s[b\]c]\d)"), R"(a\\s[b\]c]\d)");
  EXPECT_TRUE(to_pcre2(R"(\s+)").starts_with(R"([\t-\r )"));
  EXPECT_TRUE(to_pcre2(R"(\S)").starts_with("[^"));
  EXPECT_TRUE(to_pcre2(R"([^\s])").starts_with(R"([^\t-\r )"));
  EXPECT_TRUE(to_pcre2(R"(\p{N}{1,3})").starts_with(R"([\p{N}\x)"));
  EXPECT_TRUE(to_pcre2(R"(\p{N}{1,3})").ends_with("]{1,3}"));
  EXPECT_EQ(to_pcre2(R"(\p{Lu})"), R"(\p{Lu})");
}

}  // namespace
}  // namespace shenhong
