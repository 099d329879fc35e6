#include "kernels/cache_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/floats.h"

namespace shenhong {
namespace {

template <class T>
T load(const uint8_t* p, int i) {
  T value;
  std::memcpy(&value, p + i * sizeof(T), sizeof(T));
  return value;
}

template <class T>
void store(uint8_t* p, int i, T value) {
  std::memcpy(p + i * sizeof(T), &value, sizeof(T));
}

}  // namespace

std::optional<CacheFormat> cache_format_named(std::string_view name) {
  for (const CacheFormat format : {CacheFormat::kF32, CacheFormat::kF16, CacheFormat::kInt8})
    if (name == cache_format_name(format)) return format;
  return {};
}

int64_t CacheRow::bytes() const {
  switch (format) {
    case CacheFormat::kF32:
      return int64_t(size()) * 4;
    case CacheFormat::kF16:
      return (int64_t(size()) * 2 + 3) / 4 * 4;
    case CacheFormat::kInt8:
      return (int64_t(exact + blocks()) * 4 + coded + 3) / 4 * 4;
  }
  return 0;
}

void write_cache_row_scalar(const CacheRow& row, const float* x, uint8_t* out) noexcept {
  if (row.format == CacheFormat::kF32) {
    std::memcpy(out, x, size_t(row.size()) * sizeof(float));
    return;
  }
  if (row.format == CacheFormat::kF16) {
    for (int i = 0; i < row.size(); ++i) store(out, i, float_to_f16(x[i]));
    return;
  }
  for (int i = 0; i < row.exact; ++i) store(out, i, x[row.coded + i]);
  uint8_t *scales = out + row.exact * 4, *codes = scales + row.blocks() * 4;
  for (int b = 0; b < row.blocks(); ++b) {
    const int begin = b * kInt8Block, end = std::min(begin + kInt8Block, row.coded);
    float most = 0;
    bool finite = true;
    for (int i = begin; i < end; ++i) {
      finite &= std::isfinite(x[i]);
      most = std::max(most, std::abs(x[i]));
    }
    const float factor = finite && most > 0 ? 127 / most : 0;
    // A block of the smallest numbers would overflow the factor.
    const bool zero = !std::isfinite(factor);
    store(scales, b, !finite ? std::numeric_limits<float>::quiet_NaN() : zero ? 0.0f : most / 127);
    for (int i = begin; i < end; ++i)
      codes[i] = uint8_t(!finite || zero ? 0 : int8_t(std::nearbyint(x[i] * factor)));
  }
}

void read_cache_rows_scalar(const CacheRow& row, const uint8_t* rows, int count, int begin, int end,
                            float* out) noexcept {
  for (int r = 0; r < count; ++r, rows += row.bytes()) {
    const uint8_t *scales = rows + row.exact * 4, *codes = scales + row.blocks() * 4;
    for (int i = begin; i < end; ++i, ++out) {
      if (row.format == CacheFormat::kF32) {
        *out = load<float>(rows, i);
      } else if (row.format == CacheFormat::kF16) {
        *out = f16_to_float(load<uint16_t>(rows, i));
      } else if (i < row.coded) {
        *out = float(int8_t(codes[i])) * load<float>(scales, i / kInt8Block);
      } else {
        *out = load<float>(rows, i - row.coded);
      }
    }
  }
}

}  // namespace shenhong
