// What a token leaves in the cache, in fewer bits: the numbers of one layer, `coded` of them that
// an integer format may round (a latent), then `exact` that it must not (the rotary key: its
// rotation tells the position, and 8 bits of it would blur that).
//
//   f32    float [coded + exact]
//   f16    f16 [coded + exact]; beyond ±65504 infinite, as f16 has it
//   int8   float [exact], float scale [⌈coded/32⌉], int8 [coded]; per block of 32 scale = max |x| /
//          127, q = x / scale rounded to nearest, ties to even. A block that holds an infinity or a
//          NaN is read back as NaN.
// A row takes a multiple of 4 bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "kernels/panels.h"

namespace shenhong {

enum class CacheFormat { kF32, kF16, kInt8 };

constexpr std::string_view kCacheFormatNames[] = {"f32", "f16", "int8"};  // in the enum's order

constexpr std::string_view cache_format_name(CacheFormat format) {
  return kCacheFormatNames[int(format)];
}
std::optional<CacheFormat> cache_format_named(std::string_view name);

struct CacheRow {
  CacheFormat format = CacheFormat::kF32;
  int coded = 0, exact = 0;

  int size() const { return coded + exact; }
  int blocks() const { return (coded + kInt8Block - 1) / kInt8Block; }
  int64_t bytes() const;
};

// x [coded + exact] -> out [bytes()]
void write_cache_row_scalar(const CacheRow& row, const float* x, uint8_t* out) noexcept;
// Numbers [begin, end) of `count` rows that lie one after the other -> out [count, end - begin]; of
// int8, `begin` is a multiple of 32.
void read_cache_rows_scalar(const CacheRow& row, const uint8_t* rows, int count, int begin, int end,
                            float* out) noexcept;

}  // namespace shenhong
