#include "model/router.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "core/parallel.h"
#include "kernels/matmul.h"
#include "model/step_times.h"

namespace shenhong {
namespace {

constexpr double kTinySum = 1e-20;  // DeepSeek's guard of the normalising sum
constexpr int64_t kTokens = 64;     // per work item

// x with P(standard normal <= x) = p, by bisection.
double normal_quantile(double p) {
  double low = -10, high = 10;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (0.5 * std::erfc(-middle / std::numbers::sqrt2) < p ? low : high) = middle;
  }
  return low;
}

}  // namespace

template <class Real>
Router<Real>::Router(const ModelConfig& config, const std::string& prefix)
    : gate(Parameter<Real>::matrix(prefix + "weight", config.router_experts(), config.hidden_size)),
      bias(Parameter<Real>::vector(prefix + "e_score_correction_bias", config.router_experts())),
      D_(config.hidden_size),
      R_(config.router_experts()),
      K_(config.num_experts_per_tok),
      min_(config.by_threshold() ? config.min_experts() : config.num_experts_per_tok),
      max_(config.max_experts()),
      n_group_(config.n_group),
      topk_group_(config.topk_group),
      softmax_(config.scoring_func == "softmax"),
      normalise_(config.norm_topk_prob),
      scale_(Real(config.routed_scaling_factor)) {}

template <class Real>
double Router<Real>::initial_bias(const ModelConfig& c) {
  if (!c.by_threshold() || c.mean_experts() == c.n_routed_experts) return 0;
  const double sigma = c.initializer_range * std::sqrt(double(c.hidden_size));
  const double z = sigma * normal_quantile(1 - c.mean_experts() / double(c.n_routed_experts));
  if (c.scoring_func == "softmax") return -std::exp(z - sigma * sigma / 2) / c.n_routed_experts;
  return -1 / (1 + std::exp(-z));
}

template <class Real>
int Router<Real>::choose(const Real* scores, int* chosen, Real* weights) const {
  thread_local std::vector<Real> biased, group_score;
  thread_local std::vector<int> order;
  biased.resize(R_);
  for (int e = 0; e < R_; ++e) biased[e] = scores[e] + bias.w()[e];

  if (topk_group_ < n_group_) {
    // A group is worth its two best experts (V3), or its best one under softmax (V2). Losing groups
    // get -inf, not 0: a negative bias must not let an expert of a losing group win.
    const int per_group = R_ / n_group_;
    group_score.resize(n_group_);
    order.resize(n_group_);
    for (int g = 0; g < n_group_; ++g) {
      Real best = -std::numeric_limits<Real>::infinity(), second = best;
      for (int e = g * per_group; e < (g + 1) * per_group; ++e) {
        if (biased[e] > best)
          second = best, best = biased[e];
        else if (biased[e] > second)
          second = biased[e];
      }
      group_score[g] = softmax_ || per_group == 1 ? best : best + second;
    }
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return group_score[a] > group_score[b]; });
    for (int r = topk_group_; r < n_group_; ++r)
      std::fill_n(biased.begin() + order[r] * per_group, per_group,
                  -std::numeric_limits<Real>::infinity());
  }

  int count = 0;
  while (count < max_) {
    int best = 0;
    for (int e = 1; e < R_; ++e)
      if (biased[e] > biased[best]) best = e;
    if (count >= min_ && !(biased[best] > 0)) break;  // with min = max = K this never ends it early
    chosen[count++] = best;
    biased[best] = -std::numeric_limits<Real>::infinity();
  }
  Real sum = 1;
  if (normalise_) {
    sum = Real(kTinySum);
    for (int k = 0; k < count; ++k) sum += scores[chosen[k]];
  }
  for (int k = 0; k < count; ++k) weights[k] = scale_ * scores[chosen[k]] / sum;
  return count;
}

template <class Real>
void Router<Real>::forward(const Real* x, int N, Saved& s) const {
  const Timed timed(Part::kRouter);
  s.scores.resize(int64_t(N) * R_);
  matmul_nt(x, gate.w(), s.scores.data(), N, R_, D_, Write::kReplace);
  route(N, s);
}

template <class Real>
void Router<Real>::route(int N, Saved& s) const {
  const int M = width();
  s.count.resize(N);
  s.chosen.resize(int64_t(N) * M);
  s.weights.resize(int64_t(N) * M);
  parallel_ranges(N, kTokens, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      Real* row = s.scores.data() + n * R_;
      if (softmax_) {
        kernels<Real>().softmax(row, Real(1), R_);
      } else {
        for (int e = 0; e < R_; ++e) row[e] = Real(1) / (Real(1) + std::exp(-row[e]));
      }
      s.count[n] = choose(row, s.chosen.data() + n * M, s.weights.data() + n * M);
    }
  });
}

template <class Real>
void Router<Real>::backward(const Real* dweights, const Real* x, Real* dx, int N, const Saved& s) {
  const Timed timed(Part::kRouter);
  const int M = width();
  Buffer<Real> dz;  // the gradient by the scores, then by z
  dz.resize_zero(int64_t(N) * R_);
  parallel_ranges(N, kTokens, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const Real* score = s.scores.data() + n * R_;
      const int* chosen = s.chosen.data() + n * M;
      const Real* w = s.weights.data() + n * M;
      const Real* dw = dweights + n * M;
      Real* d = dz.data() + n * R_;
      // w_k = ρ s_k / S, S = Σ s  ->  ds_k = (ρ dw_k - Σ_j w_j dw_j) / S;  without the norm ds_k =
      // ρ dw_k
      const int count = s.count[n];
      Real sum = normalise_ ? Real(kTinySum) : Real(1), mean = 0;
      if (normalise_)
        for (int k = 0; k < count; ++k) sum += score[chosen[k]], mean += w[k] * dw[k];
      for (int k = 0; k < count; ++k) d[chosen[k]] = (scale_ * dw[k] - mean) / sum;
    }
  });
  if (balance.weight > 0) balance_loss<Real>(s.scores.data(), N, R_, K_, balance, dz.data());
  parallel_ranges(N, kTokens, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const Real* score = s.scores.data() + n * R_;
      Real* d = dz.data() + n * R_;
      if (softmax_) {
        kernels<Real>().softmax_backward(score, d, Real(1), R_);
      } else {
        for (int e = 0; e < R_; ++e) d[e] *= score[e] * (1 - score[e]);
      }
    }
  });
  matmul_tn(dz.data(), x, gate.dw(), R_, D_, N, Write::kAdd);
  matmul_nn(dz.data(), gate.w(), dx, N, D_, R_, Write::kAdd);
}

template class Router<float>;
template class Router<double>;

}  // namespace shenhong
