// Rows of the cache (cache_rows.h), bit for bit as the definition writes and reads them. Compiled
// once per instruction set; included by simd.cpp.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "core/floats.h"
#include "hwy/highway.h"
#include "kernels/cache_rows.h"

#if defined(SHENHONG_KERNELS_CACHE_ROWS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef SHENHONG_KERNELS_CACHE_ROWS_INL_H
#undef SHENHONG_KERNELS_CACHE_ROWS_INL_H
#else
#define SHENHONG_KERNELS_CACHE_ROWS_INL_H
#endif

HWY_BEFORE_NAMESPACE();
namespace shenhong::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

inline void write_f16_row(const float* x, int size, uint16_t* out) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<hwy::float16_t, decltype(d)> halves;
  const int lanes = int(hn::Lanes(d));
  int i = 0;
  for (; i + lanes <= size; i += lanes)
    hn::StoreU(hn::DemoteTo(halves, hn::LoadU(d, x + i)), halves,
               reinterpret_cast<hwy::float16_t*>(out + i));
  for (; i < size; ++i) out[i] = float_to_f16(x[i]);
}

inline void read_f16_row(const uint16_t* x, int size, float* out) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<hwy::float16_t, decltype(d)> halves;
  const int lanes = int(hn::Lanes(d));
  int i = 0;
  for (; i + lanes <= size; i += lanes)
    hn::StoreU(hn::PromoteTo(d, hn::LoadU(halves, reinterpret_cast<const hwy::float16_t*>(x + i))),
               d, out + i);
  for (; i < size; ++i) out[i] = f16_to_float(x[i]);
}

// A whole block; returns its scale.
inline float write_int8_block(const float* x, int8_t* codes) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<int8_t, decltype(d)> bytes;
  const int lanes = int(hn::Lanes(d));
  auto top = hn::Zero(d), rest = top;
  for (int i = 0; i < kInt8Block; i += lanes) {
    const auto v = hn::LoadU(d, x + i);
    top = hn::Max(hn::Abs(v), top);
    rest = hn::Add(rest, hn::Sub(v, v));  // stays 0 as long as all are finite
  }
  const bool finite = hn::AllTrue(d, hn::Eq(rest, hn::Zero(d)));
  const float most = hn::GetLane(hn::MaxOfLanes(d, top));
  const float factor = finite && most > 0 ? 127 / most : 0;
  if (!finite || !std::isfinite(factor)) {
    std::memset(codes, 0, kInt8Block);
    return finite ? 0.0f : std::numeric_limits<float>::quiet_NaN();
  }
  for (int i = 0; i < kInt8Block; i += lanes) {
    const auto whole = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i), hn::Set(d, factor)));
    hn::StoreU(hn::DemoteTo(bytes, whole), bytes, codes + i);
  }
  return most / 127;
}

inline void read_int8_block(const int8_t* codes, float scale, int size, float* out) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<int32_t, decltype(d)> ints;
  const hn::Rebind<int8_t, decltype(d)> bytes;
  const int lanes = int(hn::Lanes(d));
  const auto factor = hn::Set(d, scale);
  int i = 0;
  for (; i + lanes <= size; i += lanes) {
    const auto q = hn::PromoteTo(ints, hn::LoadU(bytes, codes + i));
    hn::StoreU(hn::Mul(hn::ConvertTo(d, q), factor), d, out + i);
  }
  for (; i < size; ++i) out[i] = float(codes[i]) * scale;
}

inline void write_cache_row(const CacheRow& row, const float* x, uint8_t* out) noexcept {
  if (row.format == CacheFormat::kF32) {
    std::memcpy(out, x, size_t(row.size()) * sizeof(float));
  } else if (row.format == CacheFormat::kF16) {
    write_f16_row(x, row.size(), reinterpret_cast<uint16_t*>(out));
  } else {
    float *exact = reinterpret_cast<float*>(out), *scales = exact + row.exact;
    int8_t* codes = reinterpret_cast<int8_t*>(scales + row.blocks());
    std::copy_n(x + row.coded, row.exact, exact);
    int i = 0;
    for (; i + kInt8Block <= row.coded; i += kInt8Block)
      scales[i / kInt8Block] = write_int8_block(x + i, codes + i);
    if (i == row.coded) return;
    float last[kInt8Block] = {};
    int8_t last_codes[kInt8Block];
    std::copy_n(x + i, row.coded - i, last);
    scales[i / kInt8Block] = write_int8_block(last, last_codes);
    std::copy_n(last_codes, row.coded - i, codes + i);
  }
}

inline void read_cache_rows(const CacheRow& row, const uint8_t* rows, int count, int begin, int end,
                            float* out) noexcept {
  const int64_t bytes = row.bytes();
  const int coded_end = std::min(end, row.coded), exact_begin = std::max(begin, row.coded);
  for (int r = 0; r < count; ++r, rows += bytes, out += end - begin) {
    if (row.format == CacheFormat::kF32) {
      std::copy_n(reinterpret_cast<const float*>(rows) + begin, end - begin, out);
    } else if (row.format == CacheFormat::kF16) {
      read_f16_row(reinterpret_cast<const uint16_t*>(rows) + begin, end - begin, out);
    } else {
      const float *exact = reinterpret_cast<const float*>(rows), *scales = exact + row.exact;
      const int8_t* codes = reinterpret_cast<const int8_t*>(scales + row.blocks());
      for (int i = begin; i < coded_end; i += kInt8Block)
        read_int8_block(codes + i, scales[i / kInt8Block], std::min(kInt8Block, coded_end - i),
                        out + (i - begin));
      if (exact_begin < end)
        std::copy_n(exact + (exact_begin - row.coded), end - exact_begin,
                    out + (exact_begin - begin));
    }
  }
}

}  // namespace shenhong::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
