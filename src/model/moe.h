// DeepSeekMoE (DeepSeekMoE paper; V3 report, 2.1.2): shared experts see every token, each routed
// expert sees the tokens that chose it.
//
//   y = Σ_shared FFN(x) + Σ_k w_k FFN_{chosen k}(x)
// An identity expert (model/router) is one whose FFN(x) is x.
// Tokens are grouped by expert, so that each expert is one product over its rows; every token's
// contributions are added in the order of its choices, whatever the grouping.
#pragma once

#include <string>
#include <vector>

#include "model/mlp.h"
#include "model/router.h"

namespace shenhong {

template <class Real>
class Moe {
 public:
  // The S (token, choice) pairs of routed experts sorted by expert, then by token: a "slot" is a
  // place in that order. A token has M choices at most: M = K and S = N·K under top-K.
  struct Dispatch {
    std::vector<int> first;  // [E+1]: expert e owns slots first[e] .. first[e+1]-1
    Buffer<int> token;       // [S]: a slot's token
    Buffer<int> choice;      // [S]: which of the token's choices it is
    Buffer<int> slot;        // [N,M]: the inverse; undefined where the choice is no routed expert
    int slots() const { return first.back(); }
  };
  struct Saved {
    typename Router<Real>::Saved router;
    Dispatch dispatch;
    SavedActivation<Real> a, b;  // [S, F] in slot order, as in Mlp
    typename Mlp<Real>::Saved shared;

    template <class Visit>
    void for_each(Visit&& visit) const {
      visit(router.scores);
      visit(router.weights);
      visit(a);
      visit(b);
      shared.for_each(visit);
    }
  };

  Moe() = default;
  Moe(const ModelConfig& config, const std::string& prefix);

  // x [N,D] -> adds to y [N,D]; counts into `load` and `tokens`
  void forward(const Real* x, Real* y, int N, Saved& s);
  // dy [N,D] -> adds to dx [N,D] and to all gradients; overwrites parts of s
  void backward(const Real* dy, const Real* x, Real* dx, int N, Saved& s);

  template <class Self, class Visit>
  static void for_each_parameter(Self& self, Visit&& visit) {
    visit(self.router.gate);
    visit(self.router.bias);
    for (auto& expert : self.experts) Mlp<Real>::for_each_parameter(expert, visit);
    if (self.has_shared) Mlp<Real>::for_each_parameter(self.shared_experts, visit);
  }

  Router<Real> router;
  std::vector<Mlp<Real>> experts;  // E
  Mlp<Real> shared_experts;        // n_shared_experts side by side
  bool has_shared = false;
  std::vector<int64_t> load;  // [E] tokens sent to each expert since the last clear
  int64_t tokens = 0;         // all tokens since then

 private:
  void dispatch(const typename Router<Real>::Saved& routed, int N, Dispatch& d) const;
  int D_ = 0, E_ = 0, M_ = 0, F_ = 0;
};

}  // namespace shenhong
