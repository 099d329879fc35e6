// Products in double, and how far from them others are (techniques 0).
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "core/buffer.h"

namespace shenhong {

// x [M,K] · w [N,K]ᵀ
inline std::vector<double> exact_product(const Buffer<float>& x, const Buffer<float>& w, int M,
                                         int N, int K) {
  std::vector<double> y(size_t(M) * N);
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n)
      for (int k = 0; k < K; ++k)
        y[size_t(m) * N + n] += double(x[int64_t(m) * K + k]) * double(w[int64_t(n) * K + k]);
  return y;
}

inline double relative_frobenius(const Buffer<float>& got, const std::vector<double>& want) {
  double error = 0, size = 0;
  for (int64_t i = 0; i < got.size(); ++i) {
    error += (got[i] - want[i]) * (got[i] - want[i]);
    size += want[i] * want[i];
  }
  return std::sqrt(error / size);
}

inline double calc_diff(const Buffer<float>& got, const std::vector<double>& want) {
  double both = 0, squares = 0;
  for (int64_t i = 0; i < got.size(); ++i) {
    both += got[i] * want[i];
    squares += double(got[i]) * got[i] + want[i] * want[i];
  }
  return 1 - 2 * both / squares;
}

}  // namespace shenhong
