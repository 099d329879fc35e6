#include "kernels/row_codes.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "core/floats.h"
#include "core/parallel.h"

namespace shenhong {
namespace {

constexpr int64_t kRowsAtOnce = 16;
constexpr float kLeast = 0x1p-100f;  // as in kernels/grid

std::array<float, 256> e4m3_values() {
  std::array<float, 256> values{};
  for (int code = 0; code < 256; ++code) values[code] = e4m3_to_float(uint8_t(code));
  return values;
}

int block_of(NumberFormat format) { return format == NumberFormat::kFP8 ? kFP8Block : kInt8Block; }

float largest(const float* x, int n) {
  float most = 0;
  for (int i = 0; i < n; ++i) most = std::max(most, std::abs(x[i]));
  return most;
}

// A NaN takes int8's free code.
uint8_t int8_code(float v) { return v != v ? 0x80 : uint8_t(int8_t(std::nearbyint(v))); }

}  // namespace

RowCodes encode_rows(NumberFormat format, const float* x, int64_t rows, int cols) {
  RowCodes out;
  out.format = format;
  out.rows = rows;
  out.cols = cols;
  if (format == NumberFormat::kBF16) {
    out.bf16.resize(rows * cols);
    parallel_ranges(rows, kRowsAtOnce, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * cols; i < end * cols; ++i) out.bf16[i] = float_to_bf16(x[i]);
    });
    return out;
  }
  SH_ASSERT(format == NumberFormat::kFP8 || format == NumberFormat::kInt8);
  const bool fp8 = format == NumberFormat::kFP8;
  const int block = block_of(format), blocks = (cols + block - 1) / block;
  const float top = fp8 ? 448 : 127;
  out.numbers.resize(rows * cols);
  out.scales.resize(rows * blocks);
  parallel_ranges(rows, kRowsAtOnce, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      for (int b = 0; b < blocks; ++b) {
        const int64_t at = r * cols + int64_t(b) * block;
        const int n = std::min(block, cols - b * block);
        const float most = largest(x + at, n);
        const bool zero = !(most > kLeast);
        const float scale = zero ? 0 : most / top, by = zero ? 1 : scale,
                    factor = zero ? 0 : top / most;
        out.scales[r * blocks + b] = scale;
        for (int i = 0; i < n; ++i)
          out.numbers[at + i] = fp8 ? float_to_e4m3(x[at + i] / by) : int8_code(x[at + i] * factor);
      }
  });
  return out;
}

void decode_rows(const RowCodes& codes, float* out) {
  static const std::array<float, 256> kE4M3 = e4m3_values();
  const int cols = codes.cols;
  const int block = block_of(codes.format), blocks = (cols + block - 1) / block;
  parallel_ranges(codes.rows, kRowsAtOnce, [&](int64_t begin, int64_t end) {
    if (codes.format == NumberFormat::kBF16) {
      for (int64_t i = begin * cols; i < end * cols; ++i) out[i] = bf16_to_float(codes.bf16[i]);
      return;
    }
    for (int64_t r = begin; r < end; ++r)
      for (int b = 0; b < blocks; ++b) {
        const float scale = codes.scales[r * blocks + b];
        const int64_t at = r * cols + int64_t(b) * block;
        const int n = std::min(block, cols - b * block);
        if (codes.format == NumberFormat::kFP8) {
          for (int i = 0; i < n; ++i) out[at + i] = kE4M3[codes.numbers[at + i]] * scale;
        } else {
          for (int i = 0; i < n; ++i) {
            const int number = int8_t(codes.numbers[at + i]);
            out[at + i] = number == -128 ? kE4M3[0x7f] : float(number) * scale;
          }
        }
      }
  });
}

}  // namespace shenhong
