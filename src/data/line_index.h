// Has this line of verse been in the training set? The lines' hashes, sorted, and packed to about
// 17 bits each in the file, so that an index of three million lines can lie beside a bundled model.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/file.h"

namespace shenhong {

// Shorter lines are common property: 春风, 明月夜.
inline constexpr int kShortestCopiedLine = 5;

class LineIndex {
 public:
  // What stands for a line (without punctuation, as Poem::lines): 36 bits.
  static uint64_t hash(std::string_view line);

  LineIndex() = default;
  explicit LineIndex(std::vector<uint64_t> hashes);  // any order, repetitions allowed

  // Always true for a line of the set; for another one with probability size() / 2^36.
  bool contains(std::string_view line) const;
  size_t size() const { return hashes_.size(); }  // distinct lines

  void save(const fs::path& path) const;
  static LineIndex load(const fs::path& path);  // Error(kBadInput) when it is broken

 private:
  std::vector<uint64_t> hashes_;
};

// The lines of all poems, lyrics and songs (Document::meta "kind" 诗, 词, 曲) in
// PREPARED/*/train.jsonl.zst, the output of `shenhong data`.
LineIndex index_training_lines(const fs::path& prepared);

}  // namespace shenhong
