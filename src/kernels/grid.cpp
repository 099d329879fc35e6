#include "kernels/grid.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/buffer.h"
#include "core/error.h"
#include "core/floats.h"
#include "core/parallel.h"
#include "core/random.h"

namespace shenhong {
namespace {

constexpr float kMostE4M3 = 448, kMostE2M1 = 6, kMostInt8 = 127;
// Below it a tile counts as zero: its scale would be no normal number.
constexpr float kLeast = 0x1p-100f;
constexpr int64_t kWork = 1 << 14;  // elements per work item, about
constexpr int kLanes = 16;

// Adding and subtracting 1.5·2^23·unit leaves the nearest multiple of `unit`, ties to even.
float nearest(float v, float unit) {
  const float magic = 0x1.8p23f * unit;
  return v + magic - magic;
}

float nearest_e4m3(float v) {
  // The unit of the last place is 2^-3 of the power of two below |v|, which counts from 2^-6 on.
  const uint32_t power = std::max(std::bit_cast<uint32_t>(v) & 0x7f800000u, 0x3c800000u);
  const float rounded = nearest(v, std::bit_cast<float>(power) * 0x1p-3f);
  const float low = rounded < -kMostE4M3 ? -kMostE4M3 : rounded;
  return low > kMostE4M3 ? kMostE4M3 : low;
}

// The distance of E2M1's neighbours around a magnitude.
float unit_e2m1(float magnitude) { return magnitude < 2 ? 0.5f : magnitude < 4 ? 1.0f : 2.0f; }

float nearest_e2m1(float v) {
  const float low = v < -kMostE2M1 ? -kMostE2M1 : v, inside = low > kMostE2M1 ? kMostE2M1 : low;
  return nearest(inside, unit_e2m1(std::abs(inside)));
}

// `chance` in [0, 1).
float either_e2m1(float v, float chance) {
  const float magnitude = std::abs(v) > kMostE2M1 ? kMostE2M1 : std::abs(v);
  const float unit = unit_e2m1(magnitude), steps = magnitude / unit, whole = std::floor(steps);
  return std::copysign((whole + (chance < steps - whole ? 1.0f : 0.0f)) * unit, v);
}

float largest(const float* x, int n) {
  float lanes[kLanes] = {};
  int i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int j = 0; j < kLanes; ++j) {
      const float a = std::abs(x[i + j]);
      lanes[j] = a > lanes[j] ? a : lanes[j];
    }
  float most = *std::max_element(lanes, lanes + kLanes);
  for (; i < n; ++i) most = std::max(most, std::abs(x[i]));
  return most;
}

// Of the matrix, for nvfp4.
float tensor_scale(const float* x, int64_t size) {
  const int64_t pieces = (size + kWork - 1) / kWork;
  Buffer<float> most(pieces);
  parallel_for(pieces, [&](int64_t p) {
    most[p] = largest(x + p * kWork, int(std::min(kWork, size - p * kWork)));
  });
  return pieces == 0 ? 0 : *std::max_element(most.begin(), most.end()) / (kMostE2M1 * kMostE4M3);
}

// What a tile's elements are divided by before they are rounded, or multiplied with (int8, as
// `quantize_rows` does it), and what they are multiplied with after it.
struct TileScale {
  float divisor = 1, factor = 0, scale = 0;
};

TileScale tile_scale(NumberFormat format, float most, float tensor) {
  if (!(most > kLeast)) return {};
  if (format == NumberFormat::kInt8) return {1, kMostInt8 / most, most / kMostInt8};
  float scale = most / kMostE4M3;
  if (format == NumberFormat::kNVFP4)
    scale = e4m3_to_float(float_to_e4m3(most / kMostE2M1 / tensor)) * tensor;
  if (format == NumberFormat::kMXFP4)
    scale = std::isfinite(most) ? e8m0_to_float(ceil_e8m0(most / kMostE2M1)) : most;
  return {scale == 0 ? 1 : scale, 0, scale};
}

// n elements of a row; kStride 0: of one tile, 1: each of its own. `at`: the first one's place in
// the matrix, for the random numbers.
template <int kStride>
void round_run(NumberFormat format, const float* x, float* out, int n, const TileScale* tile,
               const Draw* draw, int64_t at) {
  if (draw) {
    Philox bits{};
    for (int i = 0; i < n; ++i) {
      const uint64_t place = uint64_t(at + i);
      if (i == 0 || place % 4 == 0) bits = philox(draw->seed, draw->stream, place / 4);
      const TileScale& t = tile[i * kStride];
      out[i] = either_e2m1(x[i] / t.divisor, float(bits[place % 4] >> 8) * 0x1p-24f) * t.scale;
    }
    return;
  }
  switch (format) {
    case NumberFormat::kFP8:
      for (int i = 0; i < n; ++i) {
        const TileScale& t = tile[i * kStride];
        out[i] = nearest_e4m3(x[i] / t.divisor) * t.scale;
      }
      return;
    case NumberFormat::kInt8:
      for (int i = 0; i < n; ++i) {
        const TileScale& t = tile[i * kStride];
        out[i] = nearest(x[i] * t.factor, 1) * t.scale;
      }
      return;
    default:
      for (int i = 0; i < n; ++i) {
        const TileScale& t = tile[i * kStride];
        out[i] = nearest_e2m1(x[i] / t.divisor) * t.scale;
      }
  }
}

// Tiles of one column: their scales lie side by side.
void round_upright(const Grid& grid, float tensor, const float* x, float* out, int begin, int end,
                   int cols, const Draw* draw) {
  thread_local Buffer<float> most;
  thread_local Buffer<TileScale> tiles;
  most.resize_zero(cols);
  tiles.resize(cols);
  for (int r = begin; r < end; ++r) {
    const float* row = x + int64_t(r) * cols;
    for (int c = 0; c < cols; ++c) {
      const float a = std::abs(row[c]);
      most[c] = a > most[c] ? a : most[c];
    }
  }
  for (int c = 0; c < cols; ++c) tiles[c] = tile_scale(grid.format, most[c], tensor);
  for (int r = begin; r < end; ++r) {
    const int64_t at = int64_t(r) * cols;
    round_run<1>(grid.format, x + at, out + at, cols, tiles.data(), draw, at);
  }
}

// Rows begin .. end-1 of the matrix, the rows of one band of tiles.
void round_band(const Grid& grid, float tensor, const float* x, float* out, int begin, int end,
                int cols, const Draw* draw) {
  if (grid.tile_cols == 1) return round_upright(grid, tensor, x, out, begin, end, cols, draw);
  for (int c = 0; c < cols; c += grid.tile_cols) {
    const int n = std::min(grid.tile_cols, cols - c);
    float most = 0;
    for (int r = begin; r < end; ++r) most = std::max(most, largest(x + int64_t(r) * cols + c, n));
    const TileScale tile = tile_scale(grid.format, most, tensor);
    for (int r = begin; r < end; ++r) {
      const int64_t at = int64_t(r) * cols + c;
      round_run<0>(grid.format, x + at, out + at, n, &tile, draw, at);
    }
  }
}

void round_matrix(const Grid& grid, const float* x, float* out, int rows, int cols,
                  const Draw* draw) {
  SH_ASSERT(grid.tile_rows > 0 && grid.tile_cols > 0);
  const int64_t size = int64_t(rows) * cols;
  if (size == 0) return;
  const float tensor = grid.format == NumberFormat::kNVFP4 ? tensor_scale(x, size) : 0;
  const int bands = (rows + grid.tile_rows - 1) / grid.tile_rows;
  const int64_t at_once = std::max<int64_t>(1, kWork / (int64_t(grid.tile_rows) * cols));
  parallel_ranges(bands, at_once, [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) {
      const int begin = int(b) * grid.tile_rows;
      round_band(grid, tensor, x, out, begin, std::min(rows, begin + grid.tile_rows), cols, draw);
    }
  });
}

}  // namespace

void round_to_grid(const Grid& grid, const float* x, float* out, int rows, int cols) {
  const int64_t size = int64_t(rows) * cols;
  switch (grid.format) {
    case NumberFormat::kF32:
      if (out != x) std::copy_n(x, size, out);
      return;
    case NumberFormat::kBF16:
      parallel_ranges(size, kWork, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) out[i] = bf16_to_float(float_to_bf16(x[i]));
      });
      return;
    case NumberFormat::kInt4:
    case NumberFormat::kUint4:
      SH_ASSERT(grid.format != NumberFormat::kInt4 && grid.format != NumberFormat::kUint4);
      return;
    default:
      round_matrix(grid, x, out, rows, cols, nullptr);
  }
}

void round_stochastically(const Grid& grid, const Draw& draw, const float* x, float* out, int rows,
                          int cols) {
  SH_ASSERT(grid.format == NumberFormat::kNVFP4 || grid.format == NumberFormat::kMXFP4);
  round_matrix(grid, x, out, rows, cols, &draw);
}

}  // namespace shenhong
