// Chooses experts (V3 report, 2.1.2: auxiliary-loss-free balance; techniques 1.1).
//
//   z = W_gate x     s = sigmoid(z) or softmax(z)     c = s + bias
//   chosen = top-K of c among the best topk_group groups;  w_i = ρ s_i / Σ_chosen s
// The bias decides who is chosen, never how much they weigh, and takes no gradient.
//
// By threshold (techniques 1.2) chosen = {i : c_i > 0}, of those the best max_experts, and the best
// min_experts in any case: -bias is a threshold per expert, a number of the weights, so that a
// token chooses alone. train/balance moves the thresholds so that K experts are chosen on average.
//
// Identity experts (LongCat-Flash; MoE++'s copies) are the last of the R experts that there are
// scores of. They are chosen and weigh like the others, so norm_topk_prob makes the weights of all
// K choices sum to ρ; where they are chosen, fewer than K routed experts are.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/balance_loss.h"
#include "model/config.h"
#include "model/parameter.h"

namespace shenhong {

template <class Real>
class Router {
 public:
  struct Saved {
    Buffer<Real> scores;   // s [N,R]
    Buffer<int> count;     // [N] experts that a token takes, identity ones among them; M at most
    Buffer<int> chosen;    // [N,M], best first; what follows the first count is undefined
    Buffer<Real> weights;  // w [N,M]
  };

  Router() = default;
  Router(const ModelConfig& config, const std::string& prefix);

  void forward(const Real* x, int N, Saved& s) const;
  // What follows the product: s.scores holds z [N,R] and becomes s, and the choices are made.
  void route(int N, Saved& s) const;
  // dweights [N,M] -> adds to dx [N,D] and to the gate's gradient, those of `balance` too
  void backward(const Real* dweights, const Real* x, Real* dx, int N, const Saved& s);

  // One token: scores [R] -> chosen [M], weights [M]; returns how many experts it takes. A tie goes
  // to the lower expert.
  int choose(const Real* scores, int* chosen, Real* weights) const;

  int width() const { return max_; }  // M
  // Biases of a fresh model: 0, or thresholds that mean_experts of E scores pass while the gate's
  // weights are N(0, initializer_range) and x has a mean square of 1.
  static double initial_bias(const ModelConfig& config);
  double loss_of(const Saved& s, int N) const {
    return balance_loss<Real>(s.scores.data(), N, R_, K_, balance, nullptr);
  }

  Parameter<Real> gate;  // [R,D]
  Parameter<Real> bias;  // e_score_correction_bias [R]
  BalanceLoss balance;   // off by default

 private:
  int D_ = 0, R_ = 0, K_ = 0, min_ = 0, max_ = 0, n_group_ = 1, topk_group_ = 1;
  bool softmax_ = false, normalise_ = true;
  Real scale_ = 1;  // ρ, routed_scaling_factor
};

}  // namespace shenhong
