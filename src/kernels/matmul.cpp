#include "kernels/matmul.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "core/error.h"
#include "core/parallel.h"

namespace shenhong {
namespace {

// Multiply-adds from which another thread's help outweighs waking it.
constexpr int64_t kWorthSharing = 1 << 18;
// Past a tile for each of two threads, tiles have at least so many multiply-adds, which repay
// handing them out, and outputs, which repay reading the operands once more.
constexpr int64_t kTileWork = 1 << 24, kTileOutputs = 1 << 16;
constexpr int kMaxTiles = 16;
// Tiles begin at multiples of what every table's registers hold, so that splitting leaves no more
// ragged edges than the product has.
constexpr int kColumnUnit = 32, kRowUnit = 12;
// A tile is tall enough to pay for packing its part of B and wide enough to pay for reading its
// part of A; wider when it need not be narrow for a second thread to have work at all.
constexpr int kMinRows = 8 * kRowUnit, kMinColumns = 4 * kColumnUnit, kMinHalf = 2 * kColumnUnit;
static_assert(kMinRows - kRowUnit > kFewRows, "else splitting rows would change their rounding");

// The output as bands x stripes of tiles; depends on the shape alone.
struct Tiling {
  int bands = 1, stripes = 1;
};

Tiling tiling(int M, int N, int K) {
  const int64_t work = int64_t(M) * N * K;
  if (work < kWorthSharing) return {};
  const int64_t big_tiles = std::min(work / kTileWork, int64_t{M} * N / kTileOutputs);
  const int tiles = int(std::clamp<int64_t>(big_tiles, 2, kMaxTiles));
  const int most_stripes = std::clamp(N / (tiles == 2 ? kMinHalf : kMinColumns), 1, tiles);
  // About enough tiles first; among those the least traffic: every band reads and writes its own
  // copy of B, every stripe reads A.
  Tiling best;
  std::pair<int, int64_t> least(tiles, 0);
  for (int stripes = 1; stripes <= most_stripes; ++stripes) {
    const int bands = std::clamp(M / kMinRows, 1, (tiles + stripes - 1) / stripes);
    const int missing = std::max(0, tiles / 2 + 1 - bands * stripes);
    const std::pair cost(missing, int64_t{2} * bands * N + int64_t{stripes} * M);
    if (cost < least) least = cost, best = {.bands = bands, .stripes = stripes};
  }
  return best;
}

// Start of part i of `count`, in whole units.
int part_begin(int size, int unit, int count, int i) {
  const int64_t units = (int64_t(size) + unit - 1) / unit;
  return int(std::min<int64_t>(size, units * i / count * unit));
}

template <class Real>
Gemm<Real> tile_of(const Gemm<Real>& g, int m, int rows, int n, int columns) {
  Gemm<Real> tile = g;
  tile.M = rows;
  tile.N = columns;
  tile.a += g.layout == Layout::kTN ? m : m * g.lda;
  tile.b += g.layout == Layout::kNT ? n * g.ldb : n;
  tile.c += m * g.ldc + n;
  return tile;
}

}  // namespace

template <class Real>
void matmul(const Gemm<Real>& g) {
  SH_ASSERT(g.M >= 0 && g.N >= 0 && g.K >= 0);
  const auto gemm = kernels<Real>().gemm;
  const auto [bands, stripes] = tiling(g.M, g.N, g.K);
  if (bands * stripes == 1) return gemm(g);
  parallel_for(int64_t(bands) * stripes, [&, bands = bands, stripes = stripes](int64_t i) {
    const int band = int(i % bands), stripe = int(i / bands);
    const int m = part_begin(g.M, kRowUnit, bands, band);
    const int n = part_begin(g.N, kColumnUnit, stripes, stripe);
    gemm(tile_of(g, m, part_begin(g.M, kRowUnit, bands, band + 1) - m, n,
                 part_begin(g.N, kColumnUnit, stripes, stripe + 1) - n));
  });
}

template <class Real>
void matmul_nt(const Real* x, const Real* w, Real* y, int T, int N, int K, Write write) {
  matmul<Real>({Layout::kNT, T, N, K, x, K, w, K, y, N, write == Write::kAdd});
}

template <class Real>
void matmul_nn(const Real* dy, const Real* w, Real* dx, int T, int K, int N, Write write) {
  matmul<Real>({Layout::kNN, T, K, N, dy, N, w, K, dx, K, write == Write::kAdd});
}

template <class Real>
void matmul_tn(const Real* dy, const Real* x, Real* dw, int N, int K, int T, Write write) {
  matmul<Real>({Layout::kTN, N, K, T, dy, N, x, K, dw, K, write == Write::kAdd});
}

template void matmul(const Gemm<float>&);
template void matmul(const Gemm<double>&);
template void matmul_nt(const float*, const float*, float*, int, int, int, Write);
template void matmul_nt(const double*, const double*, double*, int, int, int, Write);
template void matmul_nn(const float*, const float*, float*, int, int, int, Write);
template void matmul_nn(const double*, const double*, double*, int, int, int, Write);
template void matmul_tn(const float*, const float*, float*, int, int, int, Write);
template void matmul_tn(const double*, const double*, double*, int, int, int, Write);

}  // namespace shenhong
