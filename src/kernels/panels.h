// Weights as decoding reads them: in one of eight number formats, laid out so that a product
// streams through memory once and every vector lane is an output of its own.
//
// A weight [N,K] is cut into panels of 16 rows. Inside a panel the 16 rows lie next to each other
// for every column, or for every two or four columns where so many bytes are taken apart together,
// and the scales of its blocks follow the panel's numbers (techniques 3.2 and 3.5):
//
//   f32, bf16   [K][16]
//   fp8         [K/2][16][2] E4M3, K rounded up to a multiple of 4; per 128 columns one float
//               scale, of a 128×128 block of the weight
//   int8        per 32 columns [8][16][4], value + 128; 16 scales in f16
//   int4        per 32 columns [4][16][4] pairs of value + 8, columns 8i+j low and 8i+4+j high;
//               16 scales in f16
//   nvfp4       per 16 columns [2][16][4] pairs of E2M1 likewise; 16 scales in E4M3, and one float
//               scale for the tensor
//   mxfp4       per 32 columns [4][16][4] pairs likewise; 16 scales in E8M0
//   uint4       per 32 columns [4][16][4] pairs of codes likewise, each scale·code + offset; 16
//               scales, then 16 offsets, in f16
// The last five meet activations in int8: 2·E2M1 is an integer, so their products are exact in
// int32. They want K in multiples of 32. Rows are padded with zeros to whole panels.
#pragma once

#include <cstdint>
#include <string_view>

namespace shenhong {

enum class NumberFormat { kF32, kBF16, kFP8, kInt8, kInt4, kNVFP4, kMXFP4, kUint4 };

std::string_view format_name(NumberFormat format);  // "f32", "bf16", "fp8", "int8", ...

constexpr int kPanelRows = 16;
constexpr int kInt8Block = 32;  // columns per scale of int8, of weights and activations alike
constexpr int kNVFP4Block = 16, kMXFP4Block = 32, kFP8Block = 128;
constexpr int kFP8Step = 4;  // columns of fp8 that are taken apart together
// What is added to the stored integers, so that they are unsigned.
constexpr int kInt8Offset = 128, kInt4Offset = 8, kE2M1Offset = 12;

// Whether products of this format take their activations in int8.
constexpr bool takes_int8(NumberFormat format) { return format >= NumberFormat::kInt8; }

// Where the parts of a panel of K columns lie.
struct PanelShape {
  int block;            // columns per scale; K where there is none
  int blocks;           // the last may be shorter (fp8)
  int64_t block_bytes;  // of a whole block's numbers
  int64_t scale_bytes;  // of a block's scales
  int64_t scales_at;    // bytes into the panel
  int64_t bytes;        // of the panel, a multiple of 64
};
PanelShape panel_shape(NumberFormat format, int K);

// Not owning.
struct Panels {
  NumberFormat format = NumberFormat::kF32;
  int rows = 0, cols = 0;
  const uint8_t* bytes = nullptr;  // panel after panel, aligned to 64 bytes
  float scale = 1;                 // of the tensor (nvfp4)

  int count() const { return (rows + kPanelRows - 1) / kPanelRows; }
};

// Activations [M,K] in int8: x ≈ scale · q in every block of 32 columns of a row, |q| <= 127.
struct Int8Rows {
  const int8_t* q;     // [M, K]
  const float* scale;  // [M, K/32]
  const int32_t* sum;  // [M, K/16], Σ q: what the offset of the weights added is taken out with
};

// y [M,N] (+)= x [M,K] · wᵀ for rows 16·first .. 16·last of w, or to its end: those columns of y
// are written and no others. Each element is one chain over K in ascending order (fp8: a chain over
// the chains of its blocks) whatever M is: a token's result does not depend on its company.
struct PanelProduct {
  Panels w;
  int first, last;  // panels
  int M;
  const float* x;  // [M,K] for f32, bf16, fp8
  int64_t ldx;
  Int8Rows q;  // for the others
  float* y;
  int64_t ldy;
  bool accumulate;
  // What this thread will read after its panels, or nothing: fetched meanwhile.
  const uint8_t* next = nullptr;
};

}  // namespace shenhong
