#include "train/muon.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "core/random.h"

namespace shenhong {
namespace {

using Matrix = std::vector<std::vector<double>>;

// k orthonormal rows of length n, by Gram-Schmidt.
Matrix orthonormal_rows(int k, int n, uint64_t seed) {
  Matrix q(k, std::vector<double>(n));
  for (int i = 0; i < k; ++i) {
    auto& row = q[i];
    for (int j = 0; j < n; ++j) row[j] = normal(seed, uint64_t(i), uint64_t(j));
    for (int pass = 0; pass < 2; ++pass)
      for (int before = 0; before < i; ++before) {
        double dot = 0;
        for (int j = 0; j < n; ++j) dot += row[j] * q[before][j];
        for (int j = 0; j < n; ++j) row[j] -= dot * q[before][j];
      }
    double norm = 0;
    for (const double x : row) norm += x * x;
    for (double& x : row) x /= std::sqrt(norm);
  }
  return q;
}

// U diag(sigma) V with U and V random: [rows, cols], row-major.
std::vector<float> matrix_with(const std::vector<double>& sigma, int rows, int cols) {
  const int k = int(sigma.size());
  const Matrix u = orthonormal_rows(k, rows, 1), v = orthonormal_rows(k, cols, 2);
  std::vector<float> out(rows * cols);
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < cols; ++j) {
      double sum = 0;
      for (int s = 0; s < k; ++s) sum += u[s][i] * sigma[s] * v[s][j];
      out[i * cols + j] = float(sum);
    }
  return out;
}

// One-sided Jacobi: rotates pairs of rows until all are orthogonal; their lengths are the values.
std::vector<double> singular_values(const std::vector<float>& x, int rows, int cols) {
  const int k = std::min(rows, cols), n = std::max(rows, cols);
  Matrix a(k, std::vector<double>(n));
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < cols; ++j) (rows <= cols ? a[i][j] : a[j][i]) = x[i * cols + j];
  for (int sweep = 0; sweep < 30; ++sweep) {
    double worst = 0;
    for (int p = 0; p < k; ++p)
      for (int q = p + 1; q < k; ++q) {
        double pp = 0, qq = 0, pq = 0;
        for (int j = 0; j < n; ++j)
          pp += a[p][j] * a[p][j], qq += a[q][j] * a[q][j], pq += a[p][j] * a[q][j];
        if (std::abs(pq) < 1e-14) continue;
        worst = std::max(worst, std::abs(pq));
        const double zeta = (qq - pp) / (2 * pq);
        const double t = (zeta < 0 ? -1 : 1) / (std::abs(zeta) + std::sqrt(1 + zeta * zeta));
        const double c = 1 / std::sqrt(1 + t * t), s = c * t;
        for (int j = 0; j < n; ++j) {
          const double ap = a[p][j], aq = a[q][j];
          a[p][j] = c * ap - s * aq, a[q][j] = s * ap + c * aq;
        }
      }
    if (worst < 1e-13) break;
  }
  std::vector<double> out;
  for (const auto& row : a) {
    double sum = 0;
    for (const double value : row) sum += value * value;
    out.push_back(std::sqrt(sum));
  }
  std::sort(out.begin(), out.end());
  return out;
}

// k values from `smallest` in equal ratios and a largest one that makes the Frobenius norm 1, so
// that the iteration's own scaling leaves them as they are.
std::vector<double> spectrum(int k, double smallest) {
  std::vector<double> sigma;
  double rest = 1;
  for (int i = 0; i + 1 < k; ++i) {
    sigma.push_back(smallest * std::pow(0.12 / smallest, double(i) / (k - 1)));
    rest -= sigma.back() * sigma.back();
  }
  sigma.push_back(std::sqrt(rest));
  return sigma;
}

void expect_range(NewtonSchulz scheme, double smallest, double low, double high) {
  const int sizes[][2] = {{48, 48}, {40, 96}, {96, 40}, {17, 131}, {7, 300}};
  for (const auto& [rows, cols] : sizes) {
    std::vector<float> x = matrix_with(spectrum(std::min(rows, cols), smallest), rows, cols);
    for (float& value : x) value *= 1234;  // the size of a gradient must not matter
    orthogonalize(x.data(), rows, cols, scheme, 5);
    const std::vector<double> sigma = singular_values(x, rows, cols);
    EXPECT_GE(sigma.front(), low) << rows << " x " << cols;
    EXPECT_LE(sigma.back(), high) << rows << " x " << cols;
  }
}

TEST(NewtonSchulz, five_jordan_steps_bring_singular_values_near_one) {
  expect_range(NewtonSchulz::kJordan, 0.01, 0.68, 1.14);
}

TEST(NewtonSchulz, five_polar_express_steps_reach_smaller_singular_values) {
  expect_range(NewtonSchulz::kPolarExpress, 1.1e-3, 0.858, 1.142);
  // ... which Jordan's do not: a check that the two are not the same and that the test can fail.
  std::vector<float> x = matrix_with(spectrum(48, 1.1e-3), 48, 48);
  orthogonalize(x.data(), 48, 48, NewtonSchulz::kJordan, 5);
  EXPECT_LT(singular_values(x, 48, 48).front(), 0.68);
}

TEST(NewtonSchulz, singular_vectors_stay) {
  const std::vector<double> sigma = spectrum(24, 0.05), ones(24, 1.0);
  std::vector<float> x = matrix_with(sigma, 24, 60);
  const std::vector<float> polar = matrix_with(ones, 24, 60);
  for (int i = 0; i < 4; ++i) orthogonalize(x.data(), 24, 60, NewtonSchulz::kPolarExpress, 5);
  double dot = 0, xx = 0;
  for (size_t i = 0; i < x.size(); ++i) dot += double(x[i]) * polar[i], xx += double(x[i]) * x[i];
  EXPECT_GT(dot / std::sqrt(xx * 24), 0.995);
}

TEST(NewtonSchulz, zero_stays_zero_and_names_are_checked) {
  std::vector<float> x(12, 0.0f);
  orthogonalize(x.data(), 3, 4, NewtonSchulz::kJordan, 5);
  EXPECT_EQ(x, std::vector<float>(12, 0.0f));
  EXPECT_EQ(newton_schulz_named("polar"), NewtonSchulz::kPolarExpress);
  EXPECT_THROW(newton_schulz_named("newton"), Error);
}

}  // namespace
}  // namespace shenhong
