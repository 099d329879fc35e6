// Finding documents that say the same: equal letters (exact), or nearly the same runs of five
// characters (near; MinHash of Broder, 1997, with banded locality-sensitive hashing).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace shenhong {

inline constexpr int kBands = 20, kRows = 6;
inline constexpr int kPermutations = kBands * kRows;

// What the comparison needs to know of a document; 248 bytes. Plain data: signatures are kept in
// files.
struct Signature {
  uint64_t letters_hash = 0;                        // of letters_of(text)
  std::array<uint16_t, kPermutations> minima = {};  // low 16 bits of each permutation's minimum
};

Signature sign(std::string_view text);

// The hash of a text's letters: equal for texts that differ in punctuation and layout only.
uint64_t hash_letters(std::string_view text);

// Estimated Jaccard similarity of the two sets of 5-character runs; standard error at 0.8: 0.037.
double similarity(const Signature& a, const Signature& b);

enum class Verdict : uint8_t { kKeep, kExactCopy, kNearCopy };

// One verdict per signature: of each group of alike documents the first is kept. Two documents are
// alike if their letters are equal or if they share a band and similarity() reaches `threshold`
// (0: only equal letters); a copy of a copy counts as alike. At a true similarity of 0.8 a pair
// shares a band with probability 0.998, at 0.5 with 0.27.
//
// Memory: 5 bytes per document, and about `memory_bytes` for the band index, which is built and
// dropped in as many passes over the signatures as that bound asks for; the result does not depend
// on it. The signatures themselves may lie in mapped files.
std::vector<Verdict> find_copies(std::span<const std::span<const Signature>> signatures,
                                 double threshold, int64_t memory_bytes);

}  // namespace shenhong
