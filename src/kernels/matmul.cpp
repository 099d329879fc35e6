#include "kernels/matmul.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>

#include "core/error.h"
#include "core/parallel.h"
#include "kernels/even_piece.h"

namespace shenhong {
namespace {

// Parts of a product are handed out as threads get free, so that all end together: about this many,
// of at least so many multiply-adds.
constexpr int kParts = 24;
constexpr int64_t kPartWork = 1 << 20;
// Parts begin at multiples of what every table's registers hold, so that cutting leaves no more
// ragged edges than the product has.
constexpr int kColumnUnit = 32, kRowUnit = 12;
// Columns of a part: no more than a block of B in the cache has; no fewer than repay reading A.
constexpr int kMostColumns = 384, kFewestColumns = 64;
static_assert(kRowUnit > kFewRows, "else cutting rows would change their rounding");

// The output as bands x stripes of parts; depends on the shape alone.
struct Tiling {
  int bands = 1, stripes = 1;
};

Tiling tiling(int M, int N, int K) {
  const int64_t work = int64_t(M) * N * K;
  if (work < kWorthSharing) return {};
  const int parts = int(std::clamp<int64_t>(work / kPartWork, 2, kParts));
  const int most_bands = (M + kRowUnit - 1) / kRowUnit;
  int stripes = (N + kMostColumns - 1) / kMostColumns;
  while (stripes * most_bands < parts && N / (stripes + 1) >= kFewestColumns) ++stripes;
  // Rounded, not up: each band of a stripe costs a copy of its part of B.
  return {std::clamp((parts + stripes / 2) / stripes, 1, most_bands), stripes};
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
  // Piece by piece of K, so that a thread packs each block of B once for all the rows it gets.
  const int most = kernels<Real>().gemm_depth;
  const bool few_rows = g.layout == Layout::kNT && g.M <= kFewRows;
  const int depth = most == 0 || few_rows ? g.K : even_piece(g.K, most);
  for (int k = 0; k < g.K; k += depth) {
    static std::atomic<uint64_t> products{0};
    const uint64_t number = ++products;
    parallel_for(int64_t(bands) * stripes, [&, bands = bands, stripes = stripes](int64_t i) {
      const int band = int(i % bands), stripe = int(i / bands);
      const int m = part_begin(g.M, kRowUnit, bands, band);
      const int n = part_begin(g.N, kColumnUnit, stripes, stripe);
      Gemm<Real> part = tile_of(g, m, part_begin(g.M, kRowUnit, bands, band + 1) - m, n,
                                part_begin(g.N, kColumnUnit, stripes, stripe + 1) - n);
      part.a += g.layout == Layout::kTN ? k * g.lda : k;
      part.b += g.layout == Layout::kNT ? k : k * g.ldb;
      part.K = std::min(depth, g.K - k);
      part.accumulate = g.accumulate || k > 0;
      part.parts_of = number;
      gemm(part);
    });
  }
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
