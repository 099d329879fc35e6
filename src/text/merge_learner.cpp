#include "text/merge_learner.h"

#include <algorithm>
#include <unordered_set>

#include "core/error.h"
#include "core/progress.h"
#include "text/byte_alphabet.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

uint64_t pair_of(int left, int right) { return uint64_t(uint32_t(left)) << 32 | uint32_t(right); }
int left_of(uint64_t pair) { return int(pair >> 32); }
int right_of(uint64_t pair) { return int(uint32_t(pair)); }

}  // namespace

MergeLearner::MergeLearner(const std::vector<std::string_view>& special, int max_characters)
    : max_characters_(max_characters), tokens_(special.begin(), special.end()) {
  for (const uint8_t byte : bytes_in_alphabet_order()) {
    byte_ids_[byte] = int(tokens_.size());
    tokens_.emplace_back(1, char(byte));
  }
  for (size_t id = 0; id < tokens_.size(); ++id) ids_.emplace(tokens_[id], int(id));
}

void MergeLearner::add_word(std::string_view bytes, int64_t times) {
  if (bytes.size() < 2) return;
  SH_ASSERT(words_.size() < UINT32_MAX && bytes.size() < UINT32_MAX);
  words_.push_back({symbols_.size(), uint32_t(bytes.size()), times});
  for (const char c : bytes) symbols_.push_back(byte_ids_[uint8_t(c)]);
}

// With a limit, a token is whole characters or a part of a single one: a token such as "春\xE5"
// would count as one character too many and hold back the text of a stream.
bool MergeLearner::allowed(const std::string& token) const {
  if (max_characters_ <= 0) return true;
  int characters = 0, han = 0, broken = 0;
  for (size_t at = 0; at < token.size();) {
    const CodePoint c = code_point_at(token, at);
    ++characters;
    han += is_han(c.value);
    broken += !c.valid;
    at += size_t(c.bytes);
  }
  if (broken == 0) return han <= max_characters_;
  // The beginning of one character, or continuation bytes only.
  return is_incomplete_character(token) ||
         (token.size() <= 3 &&
          std::all_of(token.begin(), token.end(), [](char c) { return (c & 0xC0) == 0x80; }));
}

void MergeLearner::push(uint64_t pair, int64_t times) {
  if (times < 2) return;
  heap_.push_back({times, pair});
  std::push_heap(heap_.begin(), heap_.end());
}

void MergeLearner::count_pairs() {
  for (uint32_t w = 0; w < words_.size(); ++w) {
    const Word& word = words_[w];
    for (size_t i = word.start; i + 1 < word.start + word.length; ++i) {
      Pair& pair = pairs_[pair_of(symbols_[i], symbols_[i + 1])];
      pair.times += word.times;
      if (pair.words.empty() || pair.words.back() != w) pair.words.push_back(w);
    }
  }
  for (const auto& [pair, info] : pairs_) push(pair, info.times);
}

void MergeLearner::learn(size_t vocab_size) {
  count_pairs();
  std::unordered_set<uint64_t> merged;
  Progress progress("tokenizer", int64_t(vocab_size));
  while (tokens_.size() < vocab_size && !heap_.empty()) {
    const Candidate best = heap_.front();
    std::pop_heap(heap_.begin(), heap_.end());
    heap_.pop_back();
    const auto found = pairs_.find(best.pair);
    if (found == pairs_.end()) continue;
    if (found->second.times != best.times) {
      // Other merges took some of its places. A count that grew was pushed when it grew.
      if (found->second.times < best.times) push(best.pair, found->second.times);
      continue;
    }
    const std::string token =
        tokens_[size_t(left_of(best.pair))] + tokens_[size_t(right_of(best.pair))];
    const auto known = ids_.find(token);
    // A special token's name must stay unspellable; its id is below those of the bytes.
    const bool is_name =
        known != ids_.end() && known->second < byte_ids_[bytes_in_alphabet_order()[0]];
    if (is_name || !allowed(token)) {
      pairs_.erase(found);
      continue;
    }
    // Two pairs may spell the same token. A pair may even come back after its merge, when another
    // merge makes one of its halves; the rule is there already then.
    const int result = known != ids_.end() ? known->second : int(tokens_.size());
    if (known == ids_.end()) {
      ids_.emplace(token, result);
      tokens_.push_back(token);
      progress.update(int64_t(tokens_.size()));
    }
    if (merged.insert(best.pair).second)
      merges_.emplace_back(left_of(best.pair), right_of(best.pair));
    merge(best.pair, result);
  }
  progress.finish();
}

void MergeLearner::merge(uint64_t pair, int result) {
  const std::vector<uint32_t> holders = std::move(pairs_.at(pair).words);
  pairs_.erase(pair);
  grown_.clear();
  for (const uint32_t word : holders) merge_in(word, pair, result);
  std::sort(grown_.begin(), grown_.end());
  grown_.erase(std::unique(grown_.begin(), grown_.end()), grown_.end());
  for (const uint64_t candidate : grown_) {
    const auto found = pairs_.find(candidate);
    if (found != pairs_.end()) push(candidate, found->second.times);
  }
}

void MergeLearner::merge_in(uint32_t w, uint64_t pair, int result) {
  Word& word = words_[w];
  const auto lose = [&](int left, int right) {
    const auto found = pairs_.find(pair_of(left, right));
    if (found != pairs_.end()) found->second.times -= word.times;
  };
  const auto gain = [&](int left, int right) {
    const uint64_t key = pair_of(left, right);
    Pair& info = pairs_[key];
    info.times += word.times;
    if (info.words.empty() || info.words.back() != w) info.words.push_back(w);
    if (grown_.empty() || grown_.back() != key) grown_.push_back(key);
  };
  int* const symbols = &symbols_[word.start];
  uint32_t out = 0;
  for (uint32_t i = 0; i < word.length;) {
    if (i + 1 < word.length && symbols[i] == left_of(pair) && symbols[i + 1] == right_of(pair)) {
      if (out > 0) lose(symbols[out - 1], symbols[i]), gain(symbols[out - 1], result);
      if (i + 2 < word.length) lose(symbols[i + 1], symbols[i + 2]), gain(result, symbols[i + 2]);
      symbols[out++] = result;
      i += 2;
    } else {
      symbols[out++] = symbols[i++];
    }
  }
  word.length = out;
}

}  // namespace shenhong
