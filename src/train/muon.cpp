#include "train/muon.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "core/buffer.h"
#include "core/error.h"
#include "kernels/kernels.h"

namespace shenhong {
namespace {

// One step is p(X) = aX + b(XXᵀ)X + c(XXᵀ)²X.
struct Quintic {
  double a, b, c;
};
constexpr std::array<Quintic, 1> kJordanStep = {{{3.4445, -4.7750, 2.0315}}};
constexpr std::array<Quintic, 5> kPolarExpressSteps = {{{8.1566, -22.4833, 15.8788},
                                                        {4.0429, -2.8089, 0.5000},
                                                        {3.8917, -2.7725, 0.5061},
                                                        {3.2858, -2.3681, 0.4645},
                                                        {2.3465, -1.7098, 0.4232}}};

// out [cols,rows] = in [rows,cols]ᵀ; ld: elements between rows. In tiles, because a column of a
// matrix whose width is a power of two falls into few sets of the cache.
void transpose(const float* in, int64_t ld_in, float* out, int64_t ld_out, int rows, int cols) {
  constexpr int kTile = 16;
  float tile[kTile][kTile];
  for (int i0 = 0; i0 < rows; i0 += kTile) {
    const int height = std::min(kTile, rows - i0);
    for (int j0 = 0; j0 < cols; j0 += kTile) {
      const int width = std::min(kTile, cols - j0);
      for (int i = 0; i < height; ++i)
        for (int j = 0; j < width; ++j) tile[j][i] = in[(i0 + i) * ld_in + j0 + j];
      for (int j = 0; j < width; ++j)
        for (int i = 0; i < height; ++i) out[(j0 + j) * ld_out + i0 + i] = tile[j][i];
    }
  }
}

// s [m,m] = x [m,n] · xᵀ. Only the upper triangle of blocks is computed, the rest is its mirror.
void gram(const float* x, float* s, int m, int n) {
  constexpr int kBlock = 48;
  for (int i = 0; i < m; i += kBlock) {
    const int height = std::min(kBlock, m - i);
    kernels<float>().gemm({.layout = Layout::kNT,
                           .M = height,
                           .N = m - i,
                           .K = n,
                           .a = x + int64_t(i) * n,
                           .lda = n,
                           .b = x + int64_t(i) * n,
                           .ldb = n,
                           .c = s + int64_t(i) * m + i,
                           .ldc = m,
                           .accumulate = false});
    const int done = i + height;
    transpose(s + int64_t(i) * m + done, m, s + int64_t(done) * m + i, m, height, m - done);
  }
}

// Reused from matrix to matrix: fresh pages would cost as much as a tenth of the arithmetic.
struct Workspace {
  Buffer<float> x, next, s, s2;
};

}  // namespace

NewtonSchulz newton_schulz_named(std::string_view name) {
  if (name == "jordan") return NewtonSchulz::kJordan;
  if (name == "polar") return NewtonSchulz::kPolarExpress;
  fail(Exit::kUsage, "newton_schulz = '{}': want jordan or polar", name);
}

void orthogonalize(float* matrix, int rows, int cols, NewtonSchulz scheme, int steps) {
  thread_local Workspace work;
  const bool tall = rows > cols;
  const int m = std::min(rows, cols), n = std::max(rows, cols);
  const int64_t size = int64_t(m) * n, square = int64_t(m) * m;
  work.x.resize(size);
  work.next.resize(size);
  work.s.resize(square);
  work.s2.resize(square);
  float *x = work.x.data(), *next = work.next.data(), *s = work.s.data(), *s2 = work.s2.data();

  if (tall)
    transpose(matrix, cols, x, rows, rows, cols);
  else
    std::copy(matrix, matrix + size, x);
  const bool polar = scheme == NewtonSchulz::kPolarExpress;
  const double norm = std::sqrt(kernels<float>().sum_squares(x, size));
  const float scale = float(1 / ((polar ? 1.02 : 1.0) * norm + 1e-7));
  for (int64_t i = 0; i < size; ++i) x[i] *= scale;

  const std::span<const Quintic> quintics =
      polar ? std::span<const Quintic>(kPolarExpressSteps) : std::span<const Quintic>(kJordanStep);
  for (int step = 0; step < steps; ++step) {
    const Quintic& q = quintics[std::min(size_t(step), quintics.size() - 1)];
    gram(x, s, m, n);
    gram(s, s2, m, m);  // s is symmetric: s·sᵀ = s²
    for (int64_t i = 0; i < square; ++i) s[i] = float(q.b) * s[i] + float(q.c) * s2[i];
    for (int i = 0; i < m; ++i) s[int64_t(i) * m + i] += float(q.a);
    kernels<float>().gemm({.layout = Layout::kNN,
                           .M = m,
                           .N = n,
                           .K = m,
                           .a = s,
                           .lda = m,
                           .b = x,
                           .ldb = n,
                           .c = next,
                           .ldc = n,
                           .accumulate = false});
    std::swap(x, next);
  }
  if (tall)
    transpose(x, rows, matrix, cols, cols, rows);
  else
    std::copy(x, x + size, matrix);
}

}  // namespace shenhong
