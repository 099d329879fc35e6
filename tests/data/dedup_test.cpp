#include "data/dedup.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "core/random.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

// Han characters drawn from 3000, so that two texts share no run of five but by chance.
std::u32string random_text(uint64_t seed, size_t length) {
  std::u32string text;
  for (size_t i = 0; i < length; ++i)
    text += char32_t(0x4E00 + uniform_below(3000, seed, fnv1a("dedup test"), i));
  return text;
}

std::string utf8(const std::u32string& text) {
  std::string out;
  for (const char32_t c : text) append_utf8(out, c);
  return out;
}

std::vector<Verdict> verdicts(const std::vector<std::string>& texts, double threshold = 0.8,
                              int64_t memory = 1 << 24) {
  std::vector<Signature> signatures;
  for (const std::string& text : texts) signatures.push_back(sign(text));
  const std::span<const Signature> one(signatures);
  return find_copies({&one, 1}, threshold, memory);
}

// The true Jaccard similarity of the sets of 5-character runs.
double jaccard(const std::u32string& a, const std::u32string& b) {
  const auto runs = [](const std::u32string& text) {
    std::vector<std::u32string> all;
    for (size_t i = 0; i + 5 <= text.size(); ++i) all.push_back(text.substr(i, 5));
    std::ranges::sort(all);
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
  };
  const auto x = runs(a), y = runs(b);
  std::vector<std::u32string> both;
  std::ranges::set_intersection(x, y, std::back_inserter(both));
  return double(both.size()) / double(x.size() + y.size() - both.size());
}

TEST(Dedup, the_first_of_equal_texts_stays_whatever_their_punctuation) {
  EXPECT_EQ(verdicts({"白日依山尽，黄河入海流。", "两个黄鹂鸣翠柳", "白日依山尽\n黄河入海流！"}),
            (std::vector{Verdict::kKeep, Verdict::kKeep, Verdict::kExactCopy}));
}

TEST(Dedup, estimated_similarity_is_near_the_true_one) {
  for (const size_t changed : {1u, 5u, 20u, 60u}) {
    double estimated = 0, truth = 0;
    for (uint64_t seed = 0; seed < 40; ++seed) {
      const std::u32string text = random_text(seed, 400);
      std::u32string other = text;
      for (size_t i = 0; i < changed; ++i) other[i * 400 / changed] ^= 1;
      estimated += similarity(sign(utf8(text)), sign(utf8(other))) / 40;
      truth += jaccard(text, other) / 40;
    }
    // 40 trials of 120 coins each: standard error below 0.0073.
    EXPECT_NEAR(estimated, truth, 0.025) << changed;
  }
}

TEST(Dedup, planted_near_copies_are_found_and_nothing_else) {
  std::vector<std::string> texts;
  const size_t originals = 400, copies = 100;
  for (size_t i = 0; i < originals; ++i) texts.push_back(utf8(random_text(i, 200)));
  for (size_t i = 0; i < copies; ++i) {
    std::u32string copy = random_text(i * 3, 200);
    copy[50] ^= 1;  // Jaccard 0.95
    texts.push_back(utf8(copy));
  }
  for (size_t i = 0; i < copies; ++i) {
    std::u32string cousin = random_text(i * 3 + 1, 200);
    for (size_t at = 0; at < 200; at += 20) cousin[at] ^= 1;  // Jaccard 0.6: not alike
    texts.push_back(utf8(cousin));
  }
  const auto found = verdicts(texts);
  for (size_t i = 0; i < originals; ++i) EXPECT_EQ(found[i], Verdict::kKeep) << i;
  size_t near = 0, cousins = 0;
  for (size_t i = 0; i < copies; ++i) {
    near += found[originals + i] == Verdict::kNearCopy;
    cousins += found[originals + copies + i] == Verdict::kNearCopy;
  }
  EXPECT_EQ(near, copies);
  EXPECT_EQ(cousins, 0u);
}

TEST(Dedup, a_tighter_memory_bound_means_more_passes_and_the_same_result) {
  std::vector<std::string> texts;
  for (size_t i = 0; i < 3000; ++i) {
    std::u32string text = random_text(i % 1500, 40);
    if (i >= 1500 && i % 2 == 0) text[0] ^= 1;
    texts.push_back(utf8(text));
  }
  const auto wide = verdicts(texts, 0.8, 1 << 24), tight = verdicts(texts, 0.8, 1);
  EXPECT_EQ(wide, tight);
  EXPECT_EQ(std::ranges::count(wide, Verdict::kKeep), 1500);
  EXPECT_EQ(std::ranges::count(wide, Verdict::kExactCopy), 750);
}

TEST(Dedup, threshold_zero_looks_for_equal_letters_only) {
  std::u32string copy = random_text(1, 200);
  copy[0] ^= 1;
  EXPECT_EQ(verdicts({utf8(random_text(1, 200)), utf8(copy)}, 0),
            (std::vector{Verdict::kKeep, Verdict::kKeep}));
}

TEST(Dedup, texts_shorter_than_a_run_and_empty_ones_are_compared_whole) {
  EXPECT_EQ(verdicts({"山", "水", "山。", "", "，"}),
            (std::vector{Verdict::kKeep, Verdict::kKeep, Verdict::kExactCopy, Verdict::kKeep,
                         Verdict::kExactCopy}));
  EXPECT_TRUE(find_copies({}, 0.8, 1 << 20).empty());
}

}  // namespace
}  // namespace shenhong
