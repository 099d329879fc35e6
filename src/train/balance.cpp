#include "train/balance.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "core/error.h"
#include "core/parallel.h"

namespace shenhong {
namespace {

constexpr float kThresholdDecay = 0.7f;  // of the average that the thresholds are

// The (rank+1)-th largest; reorders `values`.
float descending(std::vector<float>& values, int64_t rank) {
  const auto at = values.begin() + rank;
  std::nth_element(values.begin(), at, values.end(), std::greater<>());
  return *at;
}

// Between the largest ones as if they were continuous: position 2.5 lies between the second and the
// third; reorders `values`.
float descending_at(std::vector<float>& values, double position) {
  const double last = double(values.size()) - 1, at = std::clamp(position - 1, 0.0, last);
  const int64_t rank = int64_t(at);
  const float high = descending(values, rank);
  if (double(rank) == at) return high;
  const float low = *std::max_element(values.begin() + rank + 1, values.end());
  return high + float(at - double(rank)) * (low - high);
}

double mean_load(const std::vector<int64_t>& load) {
  return double(std::accumulate(load.begin(), load.end(), int64_t(0))) / double(load.size());
}

// Prices and thresholds can move together for long, one up, the others down, with no choice changed
// but at the caps. One shift of the E routed experts' thresholds that gives `mean` of them goes
// that way at once: only the experts from rank `fewest` to `most` of a token's margins are open.
// The r-th best routed expert is among the `most` that a token takes where its margin passes that
// of the identity expert whose place it would have, the (most+1-r)-th best; without identity
// experts where it passes 0.
void shift_to_mean(const float* s, int64_t N, int64_t E, double mean, int fewest, int most,
                   std::vector<float>& beta) {
  const int64_t R = int64_t(beta.size()), places = most - fewest;
  std::vector<float> margins(size_t(N * places));
  parallel_ranges(N, 512, [&](int64_t begin, int64_t end) {
    std::vector<float> row(R);
    const auto identity = row.begin() + E;
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t i = 0; i < R; ++i) row[i] = s[t * R + i] - beta[i];
      std::partial_sort(row.begin(), row.begin() + most, identity, std::greater<>());
      std::sort(identity, row.end(), std::greater<>());
      for (int r = fewest; r < most; ++r)
        margins[size_t(t * places + r - fewest)] = row[r] - (R > E ? identity[most - 1 - r] : 0);
    }
  });
  const float shift = descending_at(margins, double(N) * (mean - fewest) + 0.5);
  for (int64_t i = 0; i < E; ++i) beta[i] += shift;
}

// `wanted` is the load that an expert should have.
void update_by_sign(const RouterStatistics<float>& router, double wanted, double speed,
                    bool center) {
  const std::vector<int64_t>& load = *router.load;
  std::vector<int> sign(load.size());
  for (size_t i = 0; i < load.size(); ++i)
    sign[i] = (double(load[i]) < wanted) - (double(load[i]) > wanted);
  const double mean_sign = std::accumulate(sign.begin(), sign.end(), 0.0) / double(sign.size());
  for (size_t i = 0; i < load.size(); ++i)
    router.bias->value[i] += float(speed * (sign[i] - (center ? mean_sign : 0)));
}

}  // namespace

void BalanceConfig::validate(const std::string& where, const ModelConfig& model) const {
  const bool by_bias = method == "quantile" || method == "sign",
             by_loss = method == "sequence" || method == "auxiliary";
  SH_CHECK(by_bias || by_loss || method == "none", kUsage,
           "{}: method = '{}': want quantile, sign, sequence, auxiliary or none", where, method);
  SH_CHECK(speed >= 0 && std::isfinite(speed), kUsage, "{}: speed = {}: want 0 or more", where,
           speed);
  SH_CHECK(alpha >= 0 && std::isfinite(alpha), kUsage, "{}: alpha = {}: want 0 or more", where,
           alpha);
  SH_CHECK(!by_loss || alpha > 0, kUsage,
           "{}: method = '{}' balances by its loss alone, and alpha = 0 is none; usual are 1e-4 "
           "(sequence) and 1e-2 (auxiliary)",
           where, method);
  SH_CHECK(method != "none" || alpha == 0, kUsage,
           "{}: alpha = {} is the weight of a loss, and method = 'none' has none; want method = "
           "'sequence'",
           where, alpha);
  SH_CHECK(method != "quantile" || model.topk_group == model.n_group, kUsage,
           "{}: method = 'quantile' balances experts one by one, and the model chooses {} of {} "
           "groups first; want sign",
           where, model.topk_group, model.n_group);
  if (!model.experts_vary()) return;
  const std::string& routing = model.routing.method;
  SH_CHECK(!by_loss, kUsage,
           "{}: method = '{}' moves no biases, and under routing.method = '{}' the mean number of "
           "experts would drift; want quantile",
           where, method, routing);
  SH_CHECK(method != "sign" || !center, kUsage,
           "{}: center = true takes off the change that keeps the mean number of experts under "
           "routing.method = '{}'; want center = false",
           where, routing);
  SH_CHECK(alpha == 0 || model.routing.identity_experts == 0, kUsage,
           "{}: alpha = {}: the loss asks identity experts for a routed expert's load, against "
           "routing.mean_experts = {}; want alpha = 0",
           where, alpha, model.mean_experts());
}

BalanceLoss Balancer::loss(int batch, int micro_batch, int seq_len) const {
  if (config_.method == "auxiliary")
    return {.weight = config_.alpha * micro_batch / batch, .scope = 0};
  return {.weight = config_.alpha / batch, .scope = seq_len};
}

void Balancer::observe(const Routers& routers) {
  if (config_.method != "quantile") return;
  layers_.resize(routers.size());
  for (size_t i = 0; i < routers.size(); ++i) observe_quantiles(routers[i], layers_[i]);
}

void Balancer::observe_quantiles(const RouterStatistics<float>& router, Layer& layer) const {
  constexpr int64_t kTokens = 512;  // per work item
  // The paper does one sweep a step; a second one, at no more data, halves the steps from a skewed
  // start (64 experts, top 6: one step instead of two).
  constexpr int kSweeps = 2;
  const int64_t R = router.bias->size(), E = int64_t(router.load->size()),
                N = router.scores->size() / R;
  if (mean_experts_ >= double(E) || N == 0) return;
  const float* s = router.scores->data();

  // Not finite is the loss guard's matter; order statistics of it would mean nothing.
  if (!std::all_of(s, s + N * R, [](float x) { return std::isfinite(x); })) return;

  // α of a token: what its experts' margins s - β must pass.
  const auto price_of = [&](std::vector<float>& margins) {
    if (R > E || min_experts_ == max_experts_) return descending(margins, max_experts_);
    if (max_experts_ < E)
      if (const float high = descending(margins, max_experts_); high > 0) return high;
    if (min_experts_ == 0 || descending(margins, min_experts_ - 1) > 0) return 0.f;
    return descending(margins, min_experts_);
  };
  Buffer<float> alpha(N);
  std::vector<float> beta(R);
  for (int64_t i = 0; i < R; ++i) beta[i] = -router.bias->value[i];
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    parallel_for((N + kTokens - 1) / kTokens, [&](int64_t item) {
      std::vector<float> row(R);
      for (int64_t t = item * kTokens; t < std::min(N, (item + 1) * kTokens); ++t) {
        for (int64_t i = 0; i < R; ++i) row[i] = s[t * R + i] - beta[i];
        alpha[t] = price_of(row);
      }
    });
    parallel_for(E, [&](int64_t i) {
      std::vector<float> column(N);
      for (int64_t t = 0; t < N; ++t) column[t] = s[t * R + i] - alpha[t];
      // Fresh tokens pass the p-th largest of N with probability p / (N+1).
      const double share = mean_experts_ / double(E);
      beta[i] = experts_vary_ ? descending_at(column, double(N + 1) * share)
                              : descending(column, int64_t(double(N) * share));
    });
  }
  if (experts_vary_ && min_experts_ < max_experts_)
    shift_to_mean(s, N, E, mean_experts_, min_experts_, max_experts_, beta);
  layer.bias_sum.resize(E);
  for (int64_t i = 0; i < E; ++i) layer.bias_sum[i] -= double(beta[i]);
  ++layer.micro_batches;
}

void Balancer::update(const Routers& routers) {
  if (config_.method == "sign")
    for (const auto& router : routers)
      update_by_sign(router,
                     experts_vary_
                         ? double(*router.tokens) * mean_experts_ / double(router.load->size())
                         : mean_load(*router.load),
                     config_.speed, config_.center);
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (layers_[i].micro_batches == 0) continue;
    for (size_t e = 0; e < layers_[i].bias_sum.size(); ++e) {
      float& bias = routers[i].bias->value[e];
      const float now = float(layers_[i].bias_sum[e] / layers_[i].micro_batches);
      bias = by_threshold_ ? kThresholdDecay * bias + (1 - kThresholdDecay) * now : now;
    }
  }
  layers_.clear();
}

std::vector<double> max_violation(const Balancer::Routers& routers) {
  std::vector<double> out;
  for (const auto& router : routers) {
    const double mean = mean_load(*router.load);
    const int64_t largest = *std::max_element(router.load->begin(), router.load->end());
    out.push_back(mean > 0 ? double(largest) / mean - 1 : 0);
  }
  return out;
}

double mean_experts(const Balancer::Routers& routers) {
  double chosen = 0, tokens = 0;
  for (const auto& router : routers) {
    chosen += std::accumulate(router.load->begin(), router.load->end(), 0.0);
    tokens += double(*router.tokens);
  }
  return tokens > 0 ? chosen / tokens : 0;
}

}  // namespace shenhong
