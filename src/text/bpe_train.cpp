#include "text/bpe_train.h"

#include <array>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/error.h"
#include "core/parallel.h"
#include "text/merge_learner.h"
#include "text/pretokenizer.h"
#include "text/special_tokens.h"
#include "text/utf8.h"
#include "text/vocabulary.h"

namespace shenhong {
namespace {

constexpr size_t kBatchBytes = 8 << 20;
constexpr size_t kItemBytes = 128 << 10;  // of a batch, counted by one thread at a time
constexpr size_t kShards = 64;
constexpr size_t kLongestWord = 32;  // characters
constexpr size_t kMaxWords = 4'000'000;

using Words = std::unordered_map<std::string, int64_t>;

template <class Visit>
void for_each_cut(std::string_view word, Visit&& visit) {
  size_t start = 0, at = 0, characters = 0;
  while (word.size() - start > kLongestWord && at < word.size()) {
    at += size_t(code_point_at(word, at).bytes);
    if (++characters < kLongestWord) continue;
    visit(word.substr(start, at - start));
    start = at, characters = 0;
  }
  if (start < word.size()) visit(word.substr(start));
}

}  // namespace

struct BpeTrainer::Counts {
  struct Shard {
    std::mutex mutex;
    Words words;
  };
  Pretokenizer pretokenizer{deepseek_pretokenizer(), "built in"};
  std::vector<std::string> batch;
  size_t batch_bytes = 0;
  std::array<Shard, kShards> shards;

  void count_batch() {
    std::vector<std::pair<size_t, size_t>> items;  // [first, last) documents
    for (size_t first = 0; first < batch.size();) {
      size_t last = first, bytes = 0;
      while (last < batch.size() && bytes < kItemBytes) bytes += batch[last++].size();
      items.emplace_back(first, last);
      first = last;
    }
    parallel_for(int64_t(items.size()),
                 [&](int64_t i) { count(items[size_t(i)].first, items[size_t(i)].second); });
    batch.clear();
    batch_bytes = 0;
    forget_rare();
  }

  void count(size_t first, size_t last) {
    std::array<std::unordered_map<std::string_view, int64_t>, kShards> mine;
    std::vector<std::string_view> words;
    const std::hash<std::string_view> hash;
    for (size_t i = first; i < last; ++i) {
      pretokenizer.split(batch[i], words);
      for (const std::string_view word : words)
        for_each_cut(word, [&](std::string_view cut) { ++mine[hash(cut) % kShards][cut]; });
    }
    for (size_t s = 0; s < kShards; ++s) {
      const std::lock_guard lock(shards[s].mutex);
      for (const auto& [word, times] : mine[s]) shards[s].words[std::string(word)] += times;
    }
  }

  size_t distinct() const {
    size_t total = 0;
    for (const Shard& shard : shards) total += shard.words.size();
    return total;
  }

  // To half of the limit, so that it happens seldom. Batches are cut by sizes alone: what is
  // forgotten does not depend on the threads.
  void forget_rare() {
    if (distinct() <= kMaxWords) return;
    for (int64_t times = 1; distinct() > kMaxWords / 2; times *= 2)
      for (Shard& shard : shards)
        std::erase_if(shard.words, [&](const auto& word) { return word.second <= times; });
  }
};

BpeTrainer::BpeTrainer() : counts_(std::make_unique<Counts>()) {}
BpeTrainer::~BpeTrainer() = default;

void BpeTrainer::add(std::string_view document) {
  counts_->batch.push_back(sanitise_utf8(document));
  counts_->batch_bytes += document.size();
  if (counts_->batch_bytes >= kBatchBytes) counts_->count_batch();
}

Tokenizer BpeTrainer::train(int vocab_size, int max_token_characters) {
  const size_t least = kSpecialTokens.size() + 256;
  SH_CHECK(vocab_size >= int(least), kUsage,
           "vocab_size = {}: want at least {}, for {} special tokens and 256 bytes", vocab_size,
           least, kSpecialTokens.size());
  counts_->count_batch();
  MergeLearner learner({kSpecialTokens.begin(), kSpecialTokens.end()}, max_token_characters);
  for (auto& shard : counts_->shards) {
    for (const auto& [word, times] : shard.words) learner.add_word(word, times);
    shard.words = {};
  }
  learner.learn(size_t(vocab_size));
  return Tokenizer::parse(
      write_vocabulary(learner.tokens(), kSpecialTokens.size(), learner.merges()),
      "the trained tokenizer");
}

}  // namespace shenhong
