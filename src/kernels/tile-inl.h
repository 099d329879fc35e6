// The innermost part of a matrix product: a tile of C small enough for the registers. Compiled once
// per instruction set; included by gemm-inl.h.
//
// Every element of C is one chain of fused multiply-adds over k, from 0, in ascending order, added
// to C at its end. The shape of the tile that computes it changes nothing.
#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "kernels/tail-inl.h"

#if defined(SHENHONG_KERNELS_TILE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef SHENHONG_KERNELS_TILE_INL_H
#undef SHENHONG_KERNELS_TILE_INL_H
#else
#define SHENHONG_KERNELS_TILE_INL_H
#endif

HWY_BEFORE_NAMESPACE();
namespace shenhong::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using F = hn::ScalableTag<float>;
using Vector = hn::Vec<F>;

constexpr int kLanes = HWY_LANES(float);
constexpr bool kManyRegisters = HWY_MAX_BYTES == 64;  // 32, else 16
// Sums of the tile, a row of B and one element of A fill the registers. Low and wide tiles issue
// the fewest instructions per multiply-add, which counts where a core's other thread belongs to
// somebody else: 35 for 24 instead of the 38 of 12 x 2 vectors.
constexpr int kTileRows = 6;
constexpr int kTileVectors = kManyRegisters ? 4 : 2;
constexpr int kTileColumns = kTileVectors * kLanes;

// C gets one addition per kDepth products at most: part of the result.
constexpr int kDepth = 512;

// How a strip of A lies once it is staged; constants, so that addresses cost the tile no registers.
enum class Walk {
  kAlong,   // a[row·kRowStride + k]: rows lie along K, as in A [M,K]
  kAcross,  // a[k·kAcrossStride + row]: rows lie next to each other, as in A [K,M]
};
constexpr int kAcrossStride = 8;  // whole vectors
// An odd number of lines: rows do not fall into the same sets of the first-level cache.
constexpr int kRowStride = kDepth + 16;

struct Tile {
  const float* a;  // staged
  const float* b;  // row k at b + k·b_stride; every vector that is read lies inside B
  int64_t b_stride;
  float* c;
  int64_t c_stride;
  int depth;    // multiply-adds per element
  int columns;  // of C, up to kTileColumns; nothing beyond them is written
  bool add;     // to C, else overwrite it
};

// The loops over rows and vectors of a tile, which must leave no loop behind: only then do its sums
// live in registers.
template <int kCount, class Run>
HWY_INLINE void unroll(const Run& run) {
  if constexpr (kCount > 0) {
    unroll<kCount - 1>(run);
    run(std::integral_constant<int, kCount - 1>());
  }
}

template <int kRows, int kVectors>
struct Sums {
  Vector at[kRows][kVectors];

  HWY_INLINE Sums() {
    unroll<kRows>([&](auto r) HWY_ATTR {
      unroll<kVectors>([&](auto v) HWY_ATTR { at[r][v] = hn::Zero(F()); });
    });
  }

  // Row r of A, one element of it, times a row of B.
  HWY_INLINE void multiply_add(int r, float a, const Vector* b) {
    const Vector av = hn::Set(F(), a);
    unroll<kVectors>([&](auto v) HWY_ATTR { at[r][v] = hn::MulAdd(av, b[v], at[r][v]); });
  }

  HWY_INLINE void write(const Tile& tile) const {
    const F d;
    if (tile.columns < kVectors * kLanes) {
      write_part(tile);
    } else if (tile.add) {
      each(tile, [&](Vector sum, float* c, int)
                     HWY_ATTR { hn::StoreU(hn::Add(hn::LoadU(d, c), sum), d, c); });
    } else {
      each(tile, [&](Vector sum, float* c, int) HWY_ATTR { hn::StoreU(sum, d, c); });
    }
  }

 private:
  template <class Put>
  HWY_INLINE void each(const Tile& tile, const Put& put) const {
    float* c = tile.c;
    unroll<kRows>([&](auto r) HWY_ATTR {
      unroll<kVectors>([&](auto v) HWY_ATTR { put(at[r][v], c + v * kLanes, v); });
      c += tile.c_stride;
    });
  }

  // The last vector lies partly outside C.
  HWY_INLINE void write_part(const Tile& tile) const {
    const F d;
    const Tail tail{size_t(tile.columns - (kVectors - 1) * kLanes)};
    const bool add = tile.add;
    each(tile, [&](Vector sum, float* c, int v) HWY_ATTR {
      if (v < kVectors - 1) {
        hn::StoreU(add ? hn::Add(hn::LoadU(d, c), sum) : sum, d, c);
      } else {
        tail.store(add ? hn::Add(tail.load(c), sum) : sum, c);
      }
    });
  }
};

constexpr int kUnrolled = 4;  // steps along K between two tests for its end

template <int kRows, int kVectors, Walk kWalk>
HWY_NOINLINE void run_tile(const Tile& tile) {
  const F d;
  Sums<kRows, kVectors> sums;
  unroll<kRows>([&](auto r) HWY_ATTR {  // C, which is next used when the sums are complete
    unroll<kVectors>([&](auto v)
                         HWY_ATTR { hwy::Prefetch(tile.c + r * tile.c_stride + v * kLanes); });
  });

  const float* a = tile.a;
  const float* b = tile.b;
  const int64_t b_stride = tile.b_stride;
  constexpr int kNext = kWalk == Walk::kAlong ? 1 : kAcrossStride;
  const auto step = [&](auto i) HWY_ATTR {
    Vector bv[kVectors];
    unroll<kVectors>([&](auto v) HWY_ATTR { bv[v] = hn::LoadU(d, b + v * kLanes); });
    unroll<kRows>([&](auto r) HWY_ATTR {
      sums.multiply_add(r, a[(kWalk == Walk::kAlong ? r * kRowStride : r) + i * kNext], bv);
    });
    b += b_stride;
  };
  int k = 0;
  for (; k + kUnrolled <= tile.depth; k += kUnrolled, a += kUnrolled * kNext)
    unroll<kUnrolled>(step);
  for (; k < tile.depth; ++k, a += kNext) step(std::integral_constant<int, 0>());
  sums.write(tile);
}

// Tiles by their number of rows - 1 and vectors - 1.
using TileFunction = void (*)(const Tile&);
using TileFunctions = std::array<std::array<TileFunction, kTileVectors>, kTileRows>;

template <int kRows, Walk kWalk, size_t... kVector>
constexpr std::array<TileFunction, kTileVectors> tiles_of(std::index_sequence<kVector...>) {
  return {run_tile<kRows, int(kVector) + 1, kWalk>...};
}
template <Walk kWalk, size_t... kRow>
constexpr TileFunctions tile_functions(std::index_sequence<kRow...>) {
  return {tiles_of<int(kRow) + 1, kWalk>(std::make_index_sequence<kTileVectors>())...};
}

template <Walk kWalk>
inline constexpr TileFunctions kTiles =
    tile_functions<kWalk>(std::make_index_sequence<kTileRows>());

}  // namespace shenhong::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
