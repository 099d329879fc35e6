// Keeps the experts evenly loaded, by one of
//
//   quantile   Quantile Balancing (Su 2026): the dual of the assignment problem "each token takes K
//              experts, each expert the same number of tokens", one iteration a step. With β =
//              -bias:
//                α_t = (K+1)-th largest of s_t - β        β_i = (T·K/E + 1)-th largest over t of
//                s_ti - α_t
//   sign       V3's update: bias_i += speed · sign(mean load - load_i)
//   sequence   V3's sequence-wise balance loss alone (model/balance_loss); biases stay
//   auxiliary  the classic loss over the micro-batch (Switch, GShard), the baseline; biases stay
//   none       nothing
//
// The first two move the routers' selection biases from routing statistics alone (techniques 4): no
// gradient and no label takes part. V3 lets the sequence-wise loss join them with a small alpha.
//
// Under threshold routing β are the thresholds, K is mean_experts, and the problem is "each token
// takes min to max experts, each expert T·K/E tokens": even load and mean are one condition. In its
// dual α_t is 0 where min to max of s_t - β are above 0, else the (max+1)-th or (min+1)-th largest
// of them. The thresholds follow as an exponential average (techniques 1.2).
//
// With identity experts the problem is "each token takes K of R experts, each routed one
// T·mean_experts/E tokens", which leaves T·(K - mean_experts) to the identity ones together. α_t is
// the (K+1)-th largest of all R. Nothing asks how the identity experts share theirs out, so their
// biases stay (LongCat-Flash).
//
// The biases are the whole state between steps, and the model's checkpoint holds them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/model.h"

namespace shenhong {

struct BalanceConfig {
  std::string method = "quantile";
  double speed = 1e-3;
  bool center = true;
  double alpha = 0;

  template <class Visit>
  void fields(Visit&& v) {
    v("method", method, "quantile, sign, sequence, auxiliary or none");
    v("speed", speed, "sign: change of a bias per step");
    v("center", center,
      "sign: the mean change is taken off, so that biases do not drift (Moonlight)");
    v("alpha", alpha,
      "weight of the loss: auxiliary's (Switch: 1e-2), or the sequence-wise one of any other "
      "method "
      "(V3: 1e-4 beside sign)");
  }

  // Error(kUsage) when a value is out of range or the method does not fit the model.
  void validate(const std::string& where, const ModelConfig& model) const;
};

class Balancer {
 public:
  using Routers = std::vector<RouterStatistics<float>>;

  Balancer(const BalanceConfig& config, const ModelConfig& model)
      : config_(config),
        by_threshold_(model.by_threshold()),
        experts_vary_(model.experts_vary()),
        mean_experts_(model.mean_experts()),
        min_experts_(model.min_experts()),
        max_experts_(model.max_experts()) {}

  // The loss that the routers add, so that a step of `batch` sequences has the mean over them.
  BalanceLoss loss(int batch, int micro_batch, int seq_len) const;

  // After each micro-batch, while the routers still hold its scores.
  void observe(const Routers& routers);
  // Once per optimizer step: moves the biases by what was observed since the last one. The caller
  // clears the loads afterwards.
  void update(const Routers& routers);
  // Instead of `update` when the step is skipped.
  void discard() { layers_.clear(); }

 private:
  // Quantiles of one layer, summed over the micro-batches of a step.
  struct Layer {
    std::vector<double> bias_sum;  // [E]
    int micro_batches = 0;
  };
  void observe_quantiles(const RouterStatistics<float>& router, Layer& layer) const;

  BalanceConfig config_;
  bool by_threshold_, experts_vary_;
  double mean_experts_;
  int min_experts_, max_experts_;
  std::vector<Layer> layers_;
};

// max_i load_i / mean load - 1 of each layer; 0 is even. 0 too where no token was routed.
std::vector<double> max_violation(const Balancer::Routers& routers);

// Experts that a token took, on average over tokens and layers; 0 where no token was routed.
double mean_experts(const Balancer::Routers& routers);

}  // namespace shenhong
