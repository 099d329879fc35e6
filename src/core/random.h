// Counter-based random numbers: the value depends on (seed, stream, index) alone, so any thread,
// any order and any restart draws the same. The generator is Philox4x32-10 (Salmon et al., 2011).
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>

namespace shenhong {

using Philox = std::array<uint32_t, 4>;

inline Philox philox(uint64_t seed, uint64_t stream, uint64_t index) {
  Philox counter = {uint32_t(index), uint32_t(index >> 32), uint32_t(stream),
                    uint32_t(stream >> 32)};
  uint32_t key0 = uint32_t(seed), key1 = uint32_t(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t(0xD2511F53u) * counter[0];
    const uint64_t product1 = uint64_t(0xCD9E8D57u) * counter[2];
    counter = {uint32_t(product1 >> 32) ^ counter[1] ^ key0, uint32_t(product1),
               uint32_t(product0 >> 32) ^ counter[3] ^ key1, uint32_t(product0)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

// Uniform in [0, 1) with 53 random bits.
inline double uniform(uint64_t seed, uint64_t stream, uint64_t index) {
  const Philox r = philox(seed, stream, index);
  return double(((uint64_t(r[0]) << 32) | r[1]) >> 11) * 0x1p-53;
}

// Uniform in [0, n); n >= 1. The bias of the multiply-shift is below 2^-32 for our sizes.
inline uint64_t uniform_below(uint64_t n, uint64_t seed, uint64_t stream, uint64_t index) {
  const Philox r = philox(seed, stream, index);
  const uint64_t bits = (uint64_t(r[0]) << 32) | r[1];
  __extension__ using Wide = unsigned __int128;
  return uint64_t((Wide(bits) * n) >> 64);
}

// Standard normal by Box-Muller.
inline double normal(uint64_t seed, uint64_t stream, uint64_t index) {
  const Philox r = philox(seed, stream, index);
  const uint64_t bits = (uint64_t(r[0]) << 32) | r[1];
  const double u = (double(bits >> 11) + 0.5) * 0x1p-53;
  const double v = double(((uint64_t(r[2]) << 32) | r[3]) >> 11) * 0x1p-53;
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
}

// FNV-1a: a stable name -> number map, for random streams and document keys.
constexpr uint64_t fnv1a(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ uint8_t(c)) * 0x100000001b3u;
  return hash;
}

}  // namespace shenhong
