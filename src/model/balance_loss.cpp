#include "model/balance_loss.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/error.h"
#include "core/parallel.h"

namespace shenhong {
namespace {

// The L of one scope. A tie goes to the lower expert.
template <class Real>
double loss_of_scope(const Real* scores, int T, int E, int K, double weight, Real* dscores) {
  std::vector<double> f(E, 0.0), P(E, 0.0), sums(T);
  std::vector<int> order(E);
  for (int t = 0; t < T; ++t) {
    const Real* s = scores + int64_t(t) * E;
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + K, order.end(),
                      [&](int a, int b) { return s[a] != s[b] ? s[a] > s[b] : a < b; });
    for (int k = 0; k < K; ++k) f[order[k]] += double(E) / (double(K) * T);
    for (int e = 0; e < E; ++e) sums[t] += double(s[e]);
    for (int e = 0; e < E; ++e) P[e] += double(s[e]) / (sums[t] * T);
  }
  if (dscores) {
    for (int t = 0; t < T; ++t) {
      const Real* s = scores + int64_t(t) * E;
      double mean = 0;
      for (int e = 0; e < E; ++e) mean += f[e] * double(s[e]) / sums[t];
      for (int e = 0; e < E; ++e)
        dscores[int64_t(t) * E + e] += Real(weight * (f[e] - mean) / (sums[t] * T));
    }
  }
  return weight * std::inner_product(f.begin(), f.end(), P.begin(), 0.0);
}

}  // namespace

template <class Real>
double balance_loss(const Real* scores, int N, int E, int K, const BalanceLoss& loss,
                    Real* dscores) {
  if (loss.weight == 0 || N == 0) return 0;
  const int T = loss.scope > 0 ? loss.scope : N;
  SH_ASSERT(N % T == 0);
  std::vector<double> parts(N / T);
  parallel_for(N / T, [&](int64_t i) {
    const int64_t first = i * T * E;
    parts[i] =
        loss_of_scope(scores + first, T, E, K, loss.weight, dscores ? dscores + first : nullptr);
  });
  return std::accumulate(parts.begin(), parts.end(), 0.0);
}

template double balance_loss(const float*, int, int, int, const BalanceLoss&, float*);
template double balance_loss(const double*, int, int, int, const BalanceLoss&, double*);

}  // namespace shenhong
