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
// Sums of the tile plus two vectors of B and one of A fill the register file: 32 registers on
// AVX-512, else 16.
constexpr int kTileRows = HWY_MAX_BYTES == 64 ? 12 : 6;
constexpr int kTileVectors = 2;
constexpr int kTileColumns = kTileVectors * kLanes;

// How the rows of A reach the tile.
enum class Walk {
  kAlong,   // a[row·stride + k]: rows lie along K
  kAcross,  // a[k·stride + row]: rows lie next to each other, as packed or stored transposed
};

struct Tile {
  const float* a;
  int64_t a_stride;
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
    const auto inside = hn::FirstN(d, size_t(tile.columns - (kVectors - 1) * kLanes));
    const bool add = tile.add;
    each(tile, [&](Vector sum, float* c, int v) HWY_ATTR {
      if (v < kVectors - 1) {
        hn::StoreU(add ? hn::Add(hn::LoadU(d, c), sum) : sum, d, c);
      } else {
        hn::BlendedStore(add ? hn::Add(hn::MaskedLoad(inside, d, c), sum) : sum, inside, d, c);
      }
    });
  }
};

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
  const int64_t a_stride = tile.a_stride, b_stride = tile.b_stride;
  for (int k = 0; k < tile.depth; ++k) {
    Vector bv[kVectors];
    unroll<kVectors>([&](auto v) HWY_ATTR { bv[v] = hn::LoadU(d, b + v * kLanes); });
    unroll<kRows>([&](auto r) HWY_ATTR {
      sums.multiply_add(r, kWalk == Walk::kAlong ? a[r * a_stride] : a[r], bv);
    });
    a += kWalk == Walk::kAlong ? 1 : a_stride;
    b += b_stride;
  }
  sums.write(tile);
}

// Tiles by their number of rows - 1 and vectors - 1.
using TileFunction = void (*)(const Tile&);
using TileFunctions = std::array<std::array<TileFunction, kTileVectors>, kTileRows>;
static_assert(kTileVectors == 2);

template <Walk kWalk, size_t... kRow>
constexpr TileFunctions tile_functions(std::index_sequence<kRow...>) {
  return {{{run_tile<int(kRow) + 1, 1, kWalk>, run_tile<int(kRow) + 1, 2, kWalk>}...}};
}

template <Walk kWalk>
inline constexpr TileFunctions kTiles =
    tile_functions<kWalk>(std::make_index_sequence<kTileRows>());

}  // namespace shenhong::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
