// Keeps the experts evenly loaded without an auxiliary loss: moves the routers' selection biases
// from routing statistics alone (techniques 4). No gradient and no label takes part.
//
//   quantile  Quantile Balancing (Su 2026): the dual of the assignment problem "each token takes K
//             experts, each expert the same number of tokens", one iteration a step. With β =
//             -bias:
//               α_t = (K+1)-th largest of s_t - β        β_i = (T·K/E + 1)-th largest over t of
//               s_ti - α_t
//   sign      V3's update: bias_i += speed · sign(mean load - load_i)
//   none      biases stay
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

  template <class Visit>
  void fields(Visit&& v) {
    v("method", method, "quantile, sign or none");
    v("speed", speed, "sign: change of a bias per step");
    v("center", center,
      "sign: the mean change is taken off, so that biases do not drift (Moonlight)");
  }

  // Error(kUsage) when a value is out of range or the method does not fit the model.
  void validate(const std::string& where, const ModelConfig& model) const;
};

class Balancer {
 public:
  using Routers = std::vector<RouterStatistics<float>>;

  Balancer(const BalanceConfig& config, int experts_per_token)
      : config_(config), experts_per_token_(experts_per_token) {}

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
  int experts_per_token_;
  std::vector<Layer> layers_;
};

// max_i load_i / mean load - 1 of each layer; 0 is even. 0 too where no token was routed.
std::vector<double> max_violation(const Balancer::Routers& routers);

}  // namespace shenhong
