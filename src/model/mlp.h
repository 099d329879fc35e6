// The gated feed-forward layer: y = W_down ( silu(W_gate x) ⊙ (W_up x) ). Dense layers and shared
// experts use it as it stands; the routed experts hold the same three weights (model/moe).
#pragma once

#include <string>

#include "model/parameter.h"
#include "model/saved_activation.h"

namespace shenhong {

template <class Real>
class Mlp {
 public:
  struct Saved {
    // [N,F] W_gate x and W_up x; silu(a) ⊙ b is computed again in the backward pass
    SavedActivation<Real> a, b;

    template <class Visit>
    void for_each(Visit&& visit) const {
      visit(a);
      visit(b);
    }
  };

  Mlp() = default;
  Mlp(const std::string& prefix, int hidden_size, int intermediate_size);

  // x [N,D] -> adds to y [N,D]
  void forward(const Real* x, Real* y, int N, Saved& s) const;
  // dy [N,D] -> adds to dx [N,D] and to all gradients; overwrites s
  void backward(const Real* dy, const Real* x, Real* dx, int N, Saved& s);

  template <class Self, class Visit>
  static void for_each_parameter(Self& self, Visit&& visit) {
    visit(self.gate_proj);
    visit(self.up_proj);
    visit(self.down_proj);
  }

  Parameter<Real> gate_proj, up_proj;  // [F,D]
  Parameter<Real> down_proj;           // [D,F]
};

}  // namespace shenhong
