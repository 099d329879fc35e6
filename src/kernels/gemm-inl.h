// Single-thread matrix product: blocks that fit the caches, packed where reading in place would
// cost more, over the tiles of tile-inl.h (Goto & van de Geijn 2008; Van Zee & van de Geijn 2015).
// Compiled once per instruction set; included by simd.cpp.
#include <algorithm>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/even_piece.h"
#include "kernels/few_rows-inl.h"
#include "kernels/kernels.h"
#include "kernels/pack-inl.h"
#include "kernels/tile-inl.h"

#if defined(SHENHONG_KERNELS_GEMM_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef SHENHONG_KERNELS_GEMM_INL_H
#undef SHENHONG_KERNELS_GEMM_INL_H
#else
#define SHENHONG_KERNELS_GEMM_INL_H
#endif

HWY_BEFORE_NAMESPACE();
namespace shenhong::HWY_NAMESPACE {

// Copying rows of B pays from this many tiles down a column of C.
constexpr int kReusesWorthPacking = 4;

// Columns [n0, n0 + columns) and depth [k0, k0 + depth) of B as the tiles read them: element (k, n)
// at data[n / kTileColumns · panel + k·stride + n % kTileColumns].
struct BlockOfB {
  const float* data;
  int64_t stride, panel;
};

// The block of B that a thread packed last.
struct Packed {
  uint64_t parts_of = 0;
  const float* from = nullptr;
  int columns = 0;
};

inline BlockOfB block_of_b(const Gemm<float>& g, int n0, int columns, int k0, int depth) {
  const float* b = g.layout == Layout::kNT ? g.b + n0 * g.ldb + k0 : g.b + k0 * g.ldb + n0;
  const BlockOfB packed{packed_b(), kTileColumns, int64_t(depth) * kTileColumns};
  thread_local Packed last;
  if (g.parts_of != 0 && last.parts_of == g.parts_of && last.from == b && last.columns == columns)
    return packed;
  if (g.layout != Layout::kNT && g.parts_of == 0 && g.M < kReusesWorthPacking * kTileRows &&
      columns % kLanes == 0)
    return {b, g.ldb, kTileColumns};
  if (g.layout == Layout::kNT)
    pack_transposed(b, g.ldb, columns, depth, packed_b());
  else
    pack_rows(b, g.ldb, columns, depth, packed_b());
  last = {g.parts_of, b, columns};
  return packed;
}

// One strip of A against a block of B: `tile` knows the strip, and what becomes of C. Asks for
// `lines` of what is staged next with every tile.
HWY_INLINE void run_strip(Tile tile, int rows, Walk walk, const BlockOfB& b, int columns,
                          Ahead& next, int lines) {
  const auto& tiles =
      (walk == Walk::kAlong ? kTiles<Walk::kAlong> : kTiles<Walk::kAcross>)[size_t(rows - 1)];
  tile.b = b.data;
  tile.b_stride = b.stride;
  for (int n = 0; n < columns; n += kTileColumns) {
    tile.columns = std::min(kTileColumns, columns - n);
    next.ask(lines);
    tiles[size_t((tile.columns - 1) / kLanes)](tile);
    tile.b += b.panel;
    tile.c += kTileColumns;
  }
}

// Height of the strip of C that begins at a row with `left` rows below: what is left at the end is
// shared by two strips, as low ones cannot hide the latency of their sums.
constexpr int strip_height(int left) {
  return left >= 2 * kTileRows || left <= kTileRows ? std::min(left, kTileRows) : (left + 1) / 2;
}

inline void gemm_blocked(const Gemm<float>& g) {
  const bool across = g.layout == Layout::kTN;
  const Walk walk = across ? Walk::kAcross : Walk::kAlong;
  const int block_columns = even_piece(g.N, kBlockColumns), block_depth = even_piece(g.K, kDepth);
  for (int n0 = 0; n0 < g.N; n0 += block_columns) {
    const int columns = std::min(block_columns, g.N - n0);
    for (int k0 = 0; k0 < g.K; k0 += block_depth) {
      const int depth = std::min(block_depth, g.K - k0);
      const BlockOfB b = block_of_b(g, n0, columns, k0, depth);
      Tile tile{};
      tile.c_stride = g.ldc;
      tile.depth = depth;
      tile.add = g.accumulate || k0 > 0;
      const int tiles = (columns + kTileColumns - 1) / kTileColumns;
      Ahead next;
      int staged_to = 0, lines = 0;
      const auto look_ahead = [&](Ahead to, int strips) {
        next = to;
        lines = (next.lines() + tiles * strips - 1) / (tiles * strips);
      };
      for (int m = 0, rows; m < g.M; m += rows) {
        rows = across ? std::min(kTileRows, g.M - m) : strip_height(g.M - m);
        if (!across) {
          stage_along(g.a + m * g.lda + k0, g.lda, rows, depth, staged_a());
          tile.a = staged_a();
          const int after = m + rows;
          if (after < g.M)
            look_ahead({g.a + after * g.lda + k0, g.lda, std::min(kTileRows, g.M - after), depth},
                       1);
        } else if (m == staged_to) {
          const int many = std::min(kStripsAtOnce * kTileRows, g.M - m);
          stage_across(g.a + k0 * g.lda + m, g.lda, many, depth, staged_a());
          staged_to = m + many;
          tile.a = staged_a();
          if (staged_to < g.M)
            look_ahead({g.a + k0 * g.lda + staged_to, g.lda, depth,
                        std::min(kStripsAtOnce * kTileRows, g.M - staged_to)},
                       kStripsAtOnce);
        } else {
          tile.a += strip_stride(depth);
        }
        tile.c = g.c + m * g.ldc + n0;
        run_strip(tile, rows, walk, b, columns, next, lines);
      }
    }
  }
}

inline void gemm(const Gemm<float>& g) noexcept {
  if (g.M == 0 || g.N == 0) return;
  if (g.K == 0) {
    if (g.accumulate) return;
    for (int m = 0; m < g.M; ++m) std::fill_n(g.c + m * g.ldc, g.N, 0.0f);
  } else if (g.layout == Layout::kNT && g.M <= kFewRows) {
    gemm_few_rows(g);
  } else {
    gemm_blocked(g);
  }
}

}  // namespace shenhong::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
