// The merge loop of BPE training, on words with counts.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace shenhong {

// Counts of neighbouring pairs are kept up to date merge by merge: each pair knows the words it is
// in, so a merge costs as much as the places it changes. The result does not depend on the order of
// words; it equals that of the trainer of Hugging Face `tokenizers` with min_frequency 2.
class MergeLearner {
 public:
  // Ids: `special` first, then the 256 bytes in alphabet order (byte_alphabet.h), then merges.
  // For `max_characters` see BpeTrainer::train.
  MergeLearner(const std::vector<std::string_view>& special, int max_characters);

  void add_word(std::string_view bytes, int64_t times);

  // Merges until there are `vocab_size` tokens or no pair occurs twice.
  void learn(size_t vocab_size);

  const std::vector<std::string>& tokens() const { return tokens_; }
  const std::vector<std::pair<int, int>>& merges() const { return merges_; }

 private:
  struct Word {
    size_t start;  // in symbols_
    uint32_t length;
    int64_t times;
  };
  struct Pair {
    int64_t times = 0;
    std::vector<uint32_t> words;  // that hold it, or held it before some other merge
  };
  struct Candidate {
    int64_t times;
    uint64_t pair;
    // The heap's top: the most frequent, then the one of lower ids.
    bool operator<(const Candidate& other) const {
      return times != other.times ? times < other.times : pair > other.pair;
    }
  };

  bool allowed(const std::string& token) const;
  void count_pairs();
  void push(uint64_t pair, int64_t times);
  void merge(uint64_t pair, int result);
  void merge_in(uint32_t word, uint64_t pair, int result);

  int max_characters_;
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, int> ids_;
  std::vector<std::pair<int, int>> merges_;
  std::vector<int> symbols_;
  std::vector<Word> words_;
  std::unordered_map<uint64_t, Pair> pairs_;
  std::vector<Candidate> heap_;
  std::vector<uint64_t> grown_;  // pairs that the merge in progress made more frequent
  std::array<int, 256> byte_ids_;
};

}  // namespace shenhong
