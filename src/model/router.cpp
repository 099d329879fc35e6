#include "model/router.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/parallel.h"
#include "kernels/matmul.h"

namespace shenhong {
namespace {

constexpr double kTinySum = 1e-20;  // DeepSeek's guard of the normalising sum
constexpr int64_t kTokens = 64;     // per work item

}  // namespace

template <class Real>
Router<Real>::Router(const ModelConfig& config, const std::string& prefix)
    : gate(Parameter<Real>::matrix(prefix + "weight", config.n_routed_experts, config.hidden_size)),
      bias(Parameter<Real>::vector(prefix + "e_score_correction_bias", config.n_routed_experts)),
      D_(config.hidden_size),
      E_(config.n_routed_experts),
      K_(config.num_experts_per_tok),
      n_group_(config.n_group),
      topk_group_(config.topk_group),
      softmax_(config.scoring_func == "softmax"),
      normalise_(config.norm_topk_prob),
      scale_(Real(config.routed_scaling_factor)) {}

template <class Real>
void Router<Real>::choose(const Real* scores, int* chosen, Real* weights) const {
  thread_local std::vector<Real> biased, group_score;
  thread_local std::vector<int> order;
  biased.resize(E_);
  for (int e = 0; e < E_; ++e) biased[e] = scores[e] + bias.w()[e];

  if (topk_group_ < n_group_) {
    // A group is worth its two best experts (V3), or its best one under softmax (V2). Losing groups
    // get -inf, not 0: a negative bias must not let an expert of a losing group win.
    const int per_group = E_ / n_group_;
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

  for (int k = 0; k < K_; ++k) {
    int best = 0;
    for (int e = 1; e < E_; ++e)
      if (biased[e] > biased[best]) best = e;
    chosen[k] = best;
    biased[best] = -std::numeric_limits<Real>::infinity();
  }
  Real sum = 1;
  if (normalise_) {
    sum = Real(kTinySum);
    for (int k = 0; k < K_; ++k) sum += scores[chosen[k]];
  }
  for (int k = 0; k < K_; ++k) weights[k] = scale_ * scores[chosen[k]] / sum;
}

template <class Real>
void Router<Real>::forward(const Real* x, int N, Saved& s) const {
  s.scores.resize(int64_t(N) * E_);
  matmul_nt(x, gate.w(), s.scores.data(), N, E_, D_, Write::kReplace);
  route(N, s);
}

template <class Real>
void Router<Real>::route(int N, Saved& s) const {
  s.chosen.resize(int64_t(N) * K_);
  s.weights.resize(int64_t(N) * K_);
  parallel_ranges(N, kTokens, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      Real* row = s.scores.data() + n * E_;
      if (softmax_) {
        kernels<Real>().softmax(row, Real(1), E_);
      } else {
        for (int e = 0; e < E_; ++e) row[e] = Real(1) / (Real(1) + std::exp(-row[e]));
      }
      choose(row, s.chosen.data() + n * K_, s.weights.data() + n * K_);
    }
  });
}

template <class Real>
void Router<Real>::backward(const Real* dweights, const Real* x, Real* dx, int N, const Saved& s) {
  Buffer<Real> dz;
  dz.resize_zero(int64_t(N) * E_);
  parallel_ranges(N, kTokens, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const Real* score = s.scores.data() + n * E_;
      const int* chosen = s.chosen.data() + n * K_;
      const Real* w = s.weights.data() + n * K_;
      const Real* dw = dweights + n * K_;
      Real* d = dz.data() + n * E_;
      // w_k = ρ s_k / S, S = Σ s  ->  ds_k = (ρ dw_k - Σ_j w_j dw_j) / S;  without the norm ds_k =
      // ρ dw_k
      Real sum = normalise_ ? Real(kTinySum) : Real(1), mean = 0;
      if (normalise_)
        for (int k = 0; k < K_; ++k) sum += score[chosen[k]], mean += w[k] * dw[k];
      for (int k = 0; k < K_; ++k) d[chosen[k]] = (scale_ * dw[k] - mean) / sum;
      if (softmax_) {
        kernels<Real>().softmax_backward(score, d, Real(1), E_);
      } else {
        for (int k = 0; k < K_; ++k) d[chosen[k]] *= score[chosen[k]] * (1 - score[chosen[k]]);
      }
    }
  });
  matmul_tn(dz.data(), x, gate.dw(), E_, D_, N, Write::kAdd);
  matmul_nn(dz.data(), gate.w(), dx, N, D_, E_, Write::kAdd);
}

template class Router<float>;
template class Router<double>;

}  // namespace shenhong
