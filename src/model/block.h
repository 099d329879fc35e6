// One transformer block: x += attention(norm x); x += feed-forward(norm x). The feed-forward part
// is a dense Mlp in the first layers and a Moe after them.
#pragma once

#include <optional>
#include <string>

#include "model/mla.h"
#include "model/mlp.h"
#include "model/moe.h"

namespace shenhong {

template <class Real>
class Block {
 public:
  struct Saved {
    SavedActivation<Real> middle;       // [N,D] the stream between attention and feed-forward
    Buffer<Real> rstd_in, rstd_middle;  // [N]
    typename Mla<Real>::Saved attention;
    typename Mlp<Real>::Saved mlp;
    typename Moe<Real>::Saved moe;

    template <class Visit>
    void for_each(Visit&& visit) const {
      visit(middle);
      visit(rstd_in);
      visit(rstd_middle);
      attention.for_each(visit);
      mlp.for_each(visit);
      moe.for_each(visit);
    }
  };

  // `layer` names the tensors: model.layers.{layer}.
  Block(const ModelConfig& config, int layer, bool is_moe);

  // x [N,D] -> y [N,D], N = B·T
  void forward(const Real* x, Real* y, int B, int T, const Rope<Real>& rope);
  // dx [N,D] holds the gradient by the output and becomes that by the input x
  void backward(const Real* x, Real* dx, int B, int T, const Rope<Real>& rope);

  template <class Self, class Visit>
  static void for_each_parameter(Self& self, Visit&& visit) {
    visit(self.input_layernorm);
    Mla<Real>::for_each_parameter(self.self_attn, visit);
    visit(self.post_attention_layernorm);
    if (self.moe) {
      Moe<Real>::for_each_parameter(*self.moe, visit);
    } else {
      Mlp<Real>::for_each_parameter(self.mlp, visit);
    }
  }

  Parameter<Real> input_layernorm, post_attention_layernorm;  // [D]
  Mla<Real> self_attn;
  Mlp<Real> mlp;  // when there is no moe
  std::optional<Moe<Real>> moe;
  Saved saved;

 private:
  int D_;
  double eps_;
};

}  // namespace shenhong
