// The merge rules of a byte-level BPE and their application to one word.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace shenhong {

class Merges {
 public:
  static constexpr int kNoToken = -1;
  // byte_ids[b] is the id of the token that is the byte b, or kNoToken.
  Merges(const std::array<int, 256>& byte_ids, size_t rules);

  // The next rule in order of precedence: `left` before `right` becomes `result`. False when the
  // pair has a rule already.
  bool add(int left, int right, int result);

  // Appends the ids of `word`: as long as a rule applies, the earliest rule at its leftmost place.
  // A byte without a token is left out and takes part in no rule, as in llama.cpp. O(n log n) for n
  // bytes, so a Chinese text without punctuation takes no longer than any other.
  void encode(std::string_view word, std::vector<int>& ids) const;

 private:
  static constexpr uint32_t kNoRule = UINT32_MAX;
  struct Rule {
    uint64_t pair;
    uint32_t rank = kNoRule;
    int result;
  };
  size_t slot(uint64_t pair) const { return size_t(pair * 0x9E3779B97F4A7C15u >> shift_); }
  const Rule& find(int left, int right) const;

  std::array<int, 256> byte_ids_;
  std::vector<Rule> table_;  // open addressing, at most half full
  int shift_;
  uint32_t rules_ = 0;
};

}  // namespace shenhong
