// The numbers that a block-scaled format can hold, as floats: what a product of quantised operands
// sees (techniques 3.1 to 3.4).
#pragma once

#include <cstdint>

#include "kernels/panels.h"

namespace shenhong {

// A matrix is cut into tiles of `tile_rows` × `tile_cols`; those at its ends may be smaller. The
// largest magnitude of a tile decides its scale.
//
//   format  elements        scale of a tile
//   f32     as they are     –
//   bf16    nearest bf16    –
//   fp8     E4M3            float, the largest meets 448
//   int8    within ±127     float, the largest meets 127
//   nvfp4   E2M1            E4M3 nearest to what lets the largest meet 6, times a float for the
//                           matrix whose largest meets 6 · 448
//   mxfp4   E2M1            the least power of two that lets nothing pass 6
//
// Elements round to nearest, ties to even. A tile that holds NaN or infinity keeps a NaN.
struct Grid {
  NumberFormat format = NumberFormat::kF32;
  int tile_rows = 1, tile_cols = 1;
};

// Where stochastic rounding takes its random numbers from: element i of a matrix takes the i-th of
// the stream.
struct Draw {
  uint64_t seed, stream;
};

// out [rows, cols] <- x [rows, cols] on the grid; out may be x.
void round_to_grid(const Grid& grid, const float* x, float* out, int rows, int cols);

// The same for nvfp4 and mxfp4, but an element between two neighbours lo < hi of the grid becomes
// hi with probability (x - lo) / (hi - lo): its mean is x, unless it lies beyond the scale's ±6.
void round_stochastically(const Grid& grid, const Draw& draw, const float* x, float* out, int rows,
                          int cols);

}  // namespace shenhong
