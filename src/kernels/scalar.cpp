// The definition of every kernel, written to be read. Faster tables are tested against it, and the
// float64 gradient checks run on it. Sums are kept in double also for float.
#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"
#include "kernels/panels_scalar.h"

namespace shenhong {
namespace {

// Columns of C whose sums are kept at once: the inner loops run over independent sums, which the
// compiler may keep in vectors without reordering any of them.
constexpr int kColumns = 64;
constexpr int kDotColumns = 8;

template <class Real>
void store_sums(const double* sums, Real* c, int n, bool accumulate) {
  for (int j = 0; j < n; ++j) c[j] = Real(accumulate ? double(c[j]) + sums[j] : sums[j]);
}

// Both operands walk along K: rows of A against rows of B.
template <class Real>
void gemm_dot(const Gemm<Real>& g) {
  for (int n0 = 0; n0 < g.N; n0 += kDotColumns) {
    const int n = std::min(kDotColumns, g.N - n0);
    const Real* b[kDotColumns];
    for (int j = 0; j < kDotColumns; ++j) b[j] = g.b + (n0 + std::min(j, n - 1)) * g.ldb;
    for (int m = 0; m < g.M; ++m) {
      const Real* a = g.a + m * g.lda;
      double sums[kDotColumns] = {};
      for (int k = 0; k < g.K; ++k) {
        for (int j = 0; j < kDotColumns; ++j) sums[j] += double(a[k]) * double(b[j][k]);
      }
      store_sums(sums, g.c + m * g.ldc + n0, n, g.accumulate);
    }
  }
}

// B [K,N]: every a_mk scales a row of B.
template <class Real>
void gemm_rows(const Gemm<Real>& g, int64_t a_row, int64_t a_column) {
  for (int n0 = 0; n0 < g.N; n0 += kColumns) {
    const int n = std::min(kColumns, g.N - n0);
    for (int m = 0; m < g.M; ++m) {
      double sums[kColumns] = {};
      for (int k = 0; k < g.K; ++k) {
        const double a = g.a[m * a_row + k * a_column];
        const Real* b = g.b + k * g.ldb + n0;
        for (int j = 0; j < n; ++j) sums[j] += a * double(b[j]);
      }
      store_sums(sums, g.c + m * g.ldc + n0, n, g.accumulate);
    }
  }
}

template <class Real>
void gemm(const Gemm<Real>& g) noexcept {
  switch (g.layout) {
    case Layout::kNT:
      return gemm_dot(g);
    case Layout::kNN:
      return gemm_rows(g, g.lda, 1);
    case Layout::kTN:
      return gemm_rows(g, 1, g.lda);
  }
}

template <class Real>
Real dot(const Real* a, const Real* b, int64_t n) noexcept {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += double(a[i]) * double(b[i]);
  return Real(sum);
}

template <class Real>
void axpy(Real alpha, const Real* x, Real* y, int64_t n) noexcept {
  for (int64_t i = 0; i < n; ++i) y[i] += alpha * x[i];
}

template <class Real>
double sum_squares(const Real* x, int64_t n) noexcept {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += double(x[i]) * double(x[i]);
  return sum;
}

template <class Real>
void rmsnorm(const Real* x, const Real* g, Real* y, Real* rstd, int T, int D, Real eps) noexcept {
  for (int t = 0; t < T; ++t, x += D, y += D) {
    const double r = 1 / std::sqrt(sum_squares(x, D) / D + double(eps));
    rstd[t] = Real(r);
    for (int i = 0; i < D; ++i) y[i] = Real(double(g[i]) * double(x[i]) * r);
  }
}

template <class Real>
void rmsnorm_backward(const Real* dy, const Real* x, const Real* g, const Real* rstd, Real* dx,
                      Real* dg, int T, int D) noexcept {
  for (int t = 0; t < T; ++t, dy += D, x += D, dx += D) {
    const double r = rstd[t];
    double along = 0;  // dy·∂y along x: the part of the gradient that the norm cancels
    for (int i = 0; i < D; ++i) along += double(dy[i]) * double(g[i]) * double(x[i]);
    const double pull = along * r * r * r / D;
    for (int i = 0; i < D; ++i) {
      dx[i] += Real(double(dy[i]) * double(g[i]) * r - double(x[i]) * pull);
      dg[i] += Real(double(dy[i]) * double(x[i]) * r);
    }
  }
}

double sigmoid(double a) { return 1 / (1 + std::exp(-a)); }

template <class Real>
void swiglu(const Real* a, const Real* b, Real* h, int64_t n) noexcept {
  for (int64_t i = 0; i < n; ++i) h[i] = Real(double(a[i]) * sigmoid(a[i]) * double(b[i]));
}

template <class Real>
void swiglu_backward(const Real* dh, const Real* a, const Real* b, Real* da, Real* db, Real* h,
                     int64_t n) noexcept {
  for (int64_t i = 0; i < n; ++i) {
    const double d = dh[i], ai = a[i], bi = b[i];  // read first: outputs may lie over inputs
    const double s = sigmoid(ai), silu = ai * s;
    da[i] = Real(d * bi * s * (1 + ai * (1 - s)));
    db[i] = Real(d * silu);
    if (h) h[i] = Real(silu * bi);
  }
}

template <class Real>
Real softmax(Real* x, Real scale, int64_t n) noexcept {
  double top = double(scale) * double(x[0]);
  for (int64_t i = 1; i < n; ++i) top = std::max(top, double(scale) * double(x[i]));
  const auto weight = [&](Real xi) {
    const double z = double(scale) * double(xi) - top;
    return z < kNegligibleLog ? 0 : std::exp(z);
  };
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += weight(x[i]);
  for (int64_t i = 0; i < n; ++i) x[i] = Real(weight(x[i]) / sum);
  return Real(top + std::log(sum));
}

template <class Real>
void softmax_backward(const Real* p, Real* dp, Real scale, int64_t n) noexcept {
  double mean = 0;
  for (int64_t i = 0; i < n; ++i) mean += double(p[i]) * double(dp[i]);
  for (int64_t i = 0; i < n; ++i)
    dp[i] = Real(double(scale) * double(p[i]) * (double(dp[i]) - mean));
}

template <class Real>
void adamw(Real* w, const Real* g, Real* m, Real* v, const AdamWStep& step, int64_t n) noexcept {
  for (int64_t i = 0; i < n; ++i) {
    const double gi = double(g[i]) * step.gradient_scale;
    const double mi = step.beta1 * double(m[i]) + (1 - step.beta1) * gi;
    const double vi = step.beta2 * double(v[i]) + (1 - step.beta2) * gi * gi;
    const double m_hat = mi / step.correction1, v_hat = vi / step.correction2;
    const double kept = double(w[i]) * (1 - step.lr * step.weight_decay);
    m[i] = Real(mi);
    v[i] = Real(vi);
    w[i] = Real(kept - step.lr * m_hat / (std::sqrt(v_hat) + step.eps));
  }
}

}  // namespace

template <class Real>
const Kernels<Real>& scalar_kernels() {
  static constexpr Kernels<Real> table{
      .name = "scalar",
      .gemm = gemm<Real>,
      .gemm_depth = 0,
      .dot = dot<Real>,
      .axpy = axpy<Real>,
      .sum_squares = sum_squares<Real>,
      .rmsnorm = rmsnorm<Real>,
      .rmsnorm_backward = rmsnorm_backward<Real>,
      .swiglu = swiglu<Real>,
      .swiglu_backward = swiglu_backward<Real>,
      .softmax = softmax<Real>,
      .softmax_backward = softmax_backward<Real>,
      .adamw = adamw<Real>,
      .panel_product = panel_product_scalar,
      .quantize_rows = quantize_rows_scalar,
      .write_cache_row = write_cache_row_scalar,
      .read_cache_rows = read_cache_rows_scalar,
      .attend_rows = attend_rows_scalar,
  };
  return table;
}

template const Kernels<float>& scalar_kernels<float>();
template const Kernels<double>& scalar_kernels<double>();

}  // namespace shenhong
