// Single-thread matrix product: blocks that fit the caches, packed where reading in place would
// cost more, over the tiles of tile-inl.h (Goto & van de Geijn 2008; Van Zee & van de Geijn 2015).
// Compiled once per instruction set; included by simd.cpp.
#include <algorithm>
#include <cstdint>

#include "hwy/highway.h"
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

// Rows of C in strips of nearly equal height: no strip is too low to hide the latency of its sums.
struct Strips {
  explicit Strips(int rows) : rows_(rows), count_((rows + kTileRows - 1) / kTileRows) {}
  int count() const { return count_; }
  int begin(int strip) const { return int(int64_t(rows_) * strip / count_); }

 private:
  int rows_, count_;
};

// Copying rows of B pays from this many tiles down a column of C.
constexpr int kReusesWorthPacking = 4;

// Columns [n0, n0 + columns) and depth [k0, k0 + depth) of B as the tiles read them: element (k, n)
// at data[n / kTileColumns · panel + k·stride + n % kTileColumns].
struct BlockOfB {
  const float* data;
  int64_t stride, panel;
};

HWY_INLINE BlockOfB block_of_b(const Gemm<float>& g, int n0, int columns, int k0, int depth,
                               int reuses) {
  const BlockOfB packed{packed_b(), kTileColumns, int64_t(depth) * kTileColumns};
  if (g.layout == Layout::kNT) {
    pack_transposed(g.b + n0 * g.ldb + k0, g.ldb, columns, depth, packed_b());
    return packed;
  }
  const float* b = g.b + k0 * g.ldb + n0;
  if (reuses < kReusesWorthPacking && columns % kLanes == 0) return {b, g.ldb, kTileColumns};
  pack_rows(b, g.ldb, columns, depth, packed_b());
  return packed;
}

// One strip of A against a block of B: `tile` knows the strip, and what becomes of C.
HWY_INLINE void run_strip(Tile tile, int rows, Walk walk, const BlockOfB& b, int columns) {
  const auto& tiles =
      (walk == Walk::kAlong ? kTiles<Walk::kAlong> : kTiles<Walk::kAcross>)[size_t(rows - 1)];
  tile.b = b.data;
  tile.b_stride = b.stride;
  for (int n = 0; n < columns; n += kTileColumns) {
    tile.columns = std::min(kTileColumns, columns - n);
    tiles[size_t((tile.columns - 1) / kLanes)](tile);
    tile.b += b.panel;
    tile.c += kTileColumns;
  }
}

inline void gemm_blocked(const Gemm<float>& g) {
  const Strips strips(g.M);
  const Walk walk = g.layout == Layout::kTN ? Walk::kAcross : Walk::kAlong;
  for (int n0 = 0; n0 < g.N; n0 += kBlockColumns) {
    const int columns = std::min(kBlockColumns, g.N - n0);
    for (int k0 = 0; k0 < g.K; k0 += kDepth) {
      const int depth = std::min(kDepth, g.K - k0);
      const BlockOfB b = block_of_b(g, n0, columns, k0, depth, strips.count());
      for (int s = 0; s < strips.count(); ++s) {
        const int m = strips.begin(s), rows = strips.begin(s + 1) - m;
        Tile tile{};
        tile.a = walk == Walk::kAcross ? g.a + k0 * g.lda + m : g.a + m * g.lda + k0;
        tile.a_stride = g.lda;
        if (walk == Walk::kAlong && collides(g.lda) && columns > kTileColumns) {
          stage(tile.a, g.lda, rows, depth, staged_rows());
          tile.a = staged_rows();
          tile.a_stride = kStagedStride;
        }
        tile.c = g.c + m * g.ldc + n0;
        tile.c_stride = g.ldc;
        tile.depth = depth;
        tile.add = g.accumulate || k0 > 0;
        run_strip(tile, rows, walk, b, columns);
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
