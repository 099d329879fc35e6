// Chooses experts (V3 report, 2.1.2: auxiliary-loss-free balance; techniques 1.1).
//
//   z = W_gate x     s = sigmoid(z) or softmax(z)     c = s + bias
//   chosen = top-K of c among the best topk_group groups;  w_i = ρ s_i / Σ_chosen s
// The bias decides who is chosen, never how much they weigh, and takes no gradient.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/parameter.h"

namespace shenhong {

template <class Real>
class Router {
 public:
  struct Saved {
    Buffer<Real> scores;   // s [N,E]
    Buffer<int> chosen;    // [N,K], best first
    Buffer<Real> weights;  // w [N,K]
  };

  Router() = default;
  Router(const ModelConfig& config, const std::string& prefix);

  void forward(const Real* x, int N, Saved& s) const;
  // What follows the product: s.scores holds z [N,E] and becomes s, and the choices are made.
  void route(int N, Saved& s) const;
  // dweights [N,K] -> adds to dx [N,D] and to the gate's gradient
  void backward(const Real* dweights, const Real* x, Real* dx, int N, const Saved& s);

  // One token: scores [E] -> chosen [K], weights [K]. A tie goes to the lower expert.
  void choose(const Real* scores, int* chosen, Real* weights) const;

  Parameter<Real> gate;  // [E,D]
  Parameter<Real> bias;  // e_score_correction_bias [E]

 private:
  int D_ = 0, E_ = 0, K_ = 0, n_group_ = 1, topk_group_ = 1;
  bool softmax_ = false, normalise_ = true;
  Real scale_ = 1;  // ρ, routed_scaling_factor
};

}  // namespace shenhong
