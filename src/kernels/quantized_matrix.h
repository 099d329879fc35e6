// A weight in a number format, row by row as files hold it, and the ways between it, floats and the
// panels that products read (techniques 3.2).
#pragma once

#include <span>

#include "core/buffer.h"
#include "kernels/panels.h"

namespace shenhong {

// [rows, cols]; a scale belongs to a block of columns of one row, fp8's to 128×128 elements.
//
//   format   numbers                                scales
//   f32      float [rows, cols]                     –
//   bf16     bits [rows, cols]                      –
//   fp8      E4M3 [rows, cols]                      float [⌈rows/128⌉, ⌈cols/128⌉]
//   int8     int8 [rows, cols], within ±127         f16 [rows, cols/32]
//   int4     value + 8 [rows, cols/2], even columns  f16 [rows, cols/32]
//            low
//   nvfp4    E2M1 [rows, cols/2], even columns low  E4M3 [rows, cols/16], times `scale`
//   mxfp4    likewise                               E8M0 [rows, cols/32]
//   uint4    code [rows, cols/2], even columns low  f16 scale and offset [rows, cols/32, 2]
struct QuantizedMatrix {
  NumberFormat format = NumberFormat::kF32;
  int rows = 0, cols = 0;
  std::span<const uint8_t> numbers, scales;
  float scale = 1;
};

// Bytes of `numbers` and of `scales` for a shape.
int64_t number_bytes(NumberFormat format, int rows, int cols);
int64_t scale_bytes(NumberFormat format, int rows, int cols);

// Whether rows of `cols` numbers can be cut into the format's blocks.
bool fits_blocks(NumberFormat format, int cols);

// Owns what `view` refers to, as far as that does not lie in a file that is mapped meanwhile.
struct QuantizedBuffer {
  Buffer<uint8_t> numbers, scales;
  QuantizedMatrix view;
};
// Owns all of it.
QuantizedBuffer owned(QuantizedBuffer w);

// w [rows, cols], finite. fp8 and int8: the largest of a block meets the format's largest. nvfp4:
// of a block's largest meeting 6 or 4, what leaves the smaller square error (techniques 3.2,
// "4/6"). mxfp4: the power of two that lets nothing overflow. uint4: the least of a block is its
// offset, the largest has code 15.
QuantizedBuffer quantize(NumberFormat format, int rows, int cols, const float* w);

// out [rows, cols]
void dequantize(const QuantizedMatrix& w, float* out);
// out [cols]
void dequantize_row(const QuantizedMatrix& w, int row, float* out);

// An owned weight in panels.
class WeightPanels {
 public:
  WeightPanels() = default;
  explicit WeightPanels(const QuantizedMatrix& w);
  // From floats [rows, cols].
  WeightPanels(NumberFormat format, int rows, int cols, const float* w);

  const Panels& view() const { return view_; }
  int rows() const { return view_.rows; }
  int cols() const { return view_.cols; }
  int64_t bytes() const { return int64_t(bytes_.size()); }

 private:
  Buffer<uint8_t> bytes_;
  Panels view_;
};

}  // namespace shenhong
