// Rows of floats in 8 or 16 bits, to be kept and read again: what stays of activations between the
// forward and the backward pass (techniques 3.4).
#pragma once

#include <cstdint>

#include "core/buffer.h"
#include "kernels/panels.h"

namespace shenhong {

// [rows, cols] in one of
//   bf16   bits
//   fp8    E4M3, a float scale per 128 columns of a row
//   int8   a float scale per 32 columns of a row
// Decoded they are the values of kernels/grid's 1 × 128 and 1 × 32 tiles.
struct RowCodes {
  NumberFormat format = NumberFormat::kBF16;
  int64_t rows = 0;
  int cols = 0;
  Buffer<uint16_t> bf16;
  Buffer<uint8_t> numbers;
  Buffer<float> scales;

  int64_t bytes() const { return int64_t(bf16.bytes() + numbers.bytes() + scales.bytes()); }
};

RowCodes encode_rows(NumberFormat format, const float* x, int64_t rows, int cols);
// out [rows, cols]
void decode_rows(const RowCodes& codes, float* out);

}  // namespace shenhong
