#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <map>

#include "core/parallel.h"
#include "text/byte_alphabet.h"
#include "text/fixture.h"
#include "text/merges.h"
#include "text/special_tokens.h"

namespace shenhong {
namespace {

TEST(Tokenizer, decoding_what_was_encoded_gives_the_text) {
  const Tokenizer& tokenizer = small_tokenizer();
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const std::string text = random_text(seed, int(seed));
    ASSERT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
    ASSERT_EQ(tokenizer.decode(tokenizer.encode_with_special(text)), text);
  }
}

TEST(Tokenizer, broken_text_reads_as_its_repaired_form) {
  const Tokenizer& tokenizer = small_tokenizer();
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const std::string bytes = random_bytes(seed, 40);
    ASSERT_EQ(tokenizer.encode(bytes), tokenizer.encode(sanitise_utf8(bytes)));
    ASSERT_EQ(tokenizer.decode(tokenizer.encode(bytes)), sanitise_utf8(bytes));
  }
}

TEST(Tokenizer, special_tokens_never_come_out_of_ordinary_text) {
  const Tokenizer& tokenizer = small_tokenizer();
  std::string all = "x";
  for (const std::string_view name : kSpecialTokens) {
    all += std::string(name) + "y";
    const std::vector<int> marked = tokenizer.encode_with_special(name);
    ASSERT_EQ(marked.size(), 1u) << name;
    EXPECT_TRUE(tokenizer.is_special(marked[0]));
    EXPECT_EQ(tokenizer.token_id(name), marked[0]);
    EXPECT_EQ(tokenizer.token_bytes(marked[0]), name);
  }
  for (const int id : tokenizer.encode(all)) EXPECT_FALSE(tokenizer.is_special(id));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(all)), all);
  int special = 0;
  for (const int id : tokenizer.encode_with_special(all)) special += tokenizer.is_special(id);
  EXPECT_EQ(special, int(kSpecialTokens.size()));
}

TEST(Tokenizer, skipping_special_tokens_leaves_the_text_between) {
  const Tokenizer& tokenizer = small_tokenizer();
  const std::string markup =
      std::string(kBos) + "你好" + std::string(kKgEntity) + "a" + std::string(kEos);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode_with_special(markup), true), "你好a");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode_with_special(markup)), markup);
}

TEST(Tokenizer, has_fixed_ids_for_the_ends) {
  const Tokenizer& tokenizer = small_tokenizer();
  EXPECT_EQ(tokenizer.bos_id(), 0);
  EXPECT_EQ(tokenizer.eos_id(), 1);
  EXPECT_EQ(tokenizer.pad_id(), 2);
  EXPECT_EQ(tokenizer.token_id("no such token"), std::nullopt);
  EXPECT_NE(
      error_of(Exit::kUsage, [&] { tokenizer.decode(std::vector<int>{tokenizer.vocab_size()}); }),
      "");
  EXPECT_NE(error_of(Exit::kUsage, [&] { tokenizer.token_bytes(-1); }), "");
}

TEST(Tokenizer, threads_share_it) {
  const Tokenizer& tokenizer = small_tokenizer();
  std::vector<std::vector<int>> alone(64), together(64);
  for (size_t i = 0; i < alone.size(); ++i) alone[i] = tokenizer.encode(random_text(i, 200));
  const int before = thread_count();
  set_thread_count(4);
  parallel_for(64, [&](int64_t i) {
    together[size_t(i)] = tokenizer.encode(random_text(uint64_t(i), 200));
  });
  set_thread_count(before);
  EXPECT_EQ(alone, together);
}

TEST(Tokenizer, a_megabyte_without_a_break_is_one_word) {
  const std::string text = [] {
    std::string run;
    for (int i = 0; i < 100'000; ++i) run += "春风明月";
    return run;
  }();
  EXPECT_EQ(small_tokenizer().decode(small_tokenizer().encode(text)), text);
}

TEST(StreamDecoder, any_tokens_come_out_as_from_decode_in_whole_characters) {
  const Tokenizer& tokenizer = small_tokenizer();
  for (uint64_t seed = 0; seed < 500; ++seed) {
    std::vector<int> ids;
    if (seed % 2) {
      ids = tokenizer.encode_with_special(random_text(seed, 20));
    } else {
      for (uint64_t i = 0; i < 40; ++i)
        ids.push_back(int(uniform_below(uint64_t(tokenizer.vocab_size()), seed, 9, i)));
    }
    for (const bool skip : {false, true}) {
      StreamDecoder decoder(tokenizer, skip);
      std::string text;
      for (const int id : ids) {
        const std::string part = decoder.push(id);
        ASSERT_TRUE(is_valid_utf8(part));
        text += part;
      }
      text += decoder.finish();
      ASSERT_EQ(text, tokenizer.decode(ids, skip));
      ASSERT_EQ(decoder.finish(), "");
    }
  }
}

TEST(StreamDecoder, holds_back_no_more_than_one_character) {
  const Tokenizer& tokenizer = small_tokenizer();
  StreamDecoder decoder(tokenizer);
  const auto byte = [&](char c) { return *tokenizer.token_id(std::string(1, c)); };
  EXPECT_EQ(decoder.push(byte('\xE6')), "");
  EXPECT_EQ(decoder.push(byte('\x98')), "");
  EXPECT_EQ(decoder.push(byte('\x8E')), "明");
  EXPECT_EQ(decoder.push(byte('\xE6')), "");
  EXPECT_EQ(decoder.push(byte('a')), "\uFFFDa");
  EXPECT_EQ(decoder.push(byte('\xF0')), "");
  EXPECT_EQ(decoder.finish(), "\uFFFD");
}

// The definition, in quadratic time: of all neighbours the pair with the earliest rule, leftmost.
std::vector<int> merged_slowly(const std::map<std::pair<int, int>, std::pair<int, int>>& rules,
                               std::vector<int> ids) {
  for (;;) {
    int best = INT32_MAX;
    size_t at = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto rule = rules.find({ids[i], ids[i + 1]});
      if (rule != rules.end() && rule->second.first < best) best = rule->second.first, at = i;
    }
    if (best == INT32_MAX) return ids;
    ids[at] = rules.at({ids[at], ids[at + 1]}).second;
    ids.erase(ids.begin() + long(at) + 1);
  }
}

TEST(Merges, follow_the_definition) {
  std::array<int, 256> bytes;
  for (int b = 0; b < 256; ++b) bytes[size_t(b)] = b;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Merges merges(bytes, 40);
    std::map<std::pair<int, int>, std::pair<int, int>> rules;
    for (int i = 0; i < 40; ++i) {
      // Halves among 'a', 'b', 'c' and earlier results; two rules may share a result.
      const auto half = [&](uint64_t stream) {
        const int pick = int(uniform_below(uint64_t(3 + i), seed, stream, uint64_t(i)));
        return pick < 3 ? 'a' + pick : 256 + pick - 3;
      };
      const int left = half(3), right = half(4);
      const bool added = merges.add(left, right, 256 + i);
      ASSERT_EQ(
          added,
          rules.emplace(std::pair(left, right), std::pair(int(rules.size()), 256 + i)).second);
    }
    for (uint64_t word = 0; word < 50; ++word) {
      std::string text;
      for (uint64_t i = 0; i < word; ++i) text += char('a' + uniform_below(3, seed, 5 + word, i));
      std::vector<int> ids;
      merges.encode(text, ids);
      ASSERT_EQ(ids, merged_slowly(rules, {text.begin(), text.end()})) << text;
    }
  }
}

TEST(ByteAlphabet, is_gpt2s) {
  EXPECT_EQ(to_byte_alphabet(" a\n!"), "ĠaĊ!");
  EXPECT_EQ(bytes_in_alphabet_order()[0], '!');
  EXPECT_EQ(bytes_in_alphabet_order()[255], 0xAD);
  EXPECT_EQ(from_byte_alphabet("＜"), std::nullopt);
  for (int b = 0; b < 256; ++b)
    EXPECT_EQ(from_byte_alphabet(to_byte_alphabet(std::string(1, char(b)))),
              std::string(1, char(b)));
}

}  // namespace
}  // namespace shenhong
