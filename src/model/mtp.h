// A multi-token-prediction module (V3 report, 2.2): from the stream h of depth p-1 and the token
// p places ahead it predicts the token p+1 places ahead. Embedding and head are the main model's.
//
//   h' = W_eh [ RMSNorm(emb(t_{i+p})) ; RMSNorm(h_i) ]     h_p = Block(h')     logits =
//   Head(RMSNorm(h_p))
// The paper writes [h ; emb]; the published eh_proj expects the embedding first.
#pragma once

#include "model/block.h"

namespace shenhong {

template <class Real>
class Mtp {
 public:
  struct Saved {
    SavedActivation<Real> pair;   // [N,2D] the two norms side by side
    SavedActivation<Real> x;      // [N,D] h'
    Buffer<Real> rstd_e, rstd_h;  // [N]

    template <class Visit>
    void for_each(Visit&& visit) const {
      visit(pair);
      visit(x);
      visit(rstd_e);
      visit(rstd_h);
    }
  };

  // `layer` = num_hidden_layers + p - 1 names the tensors.
  Mtp(const ModelConfig& config, int layer);

  // h [N,D] (before the final norm), embedding [N,D] -> h_p [N,D]
  void forward(const Real* h, const Real* embedding, Real* out, int B, int T,
               const Rope<Real>& rope);
  // dout [N,D] (overwritten) -> adds to dh [N,D] and dembedding [N,D]
  void backward(Real* dout, const Real* h, const Real* embedding, Real* dh, Real* dembedding, int B,
                int T, const Rope<Real>& rope);

  template <class Self, class Visit>
  static void for_each_parameter(Self& self, Visit&& visit) {
    visit(self.enorm);
    visit(self.hnorm);
    visit(self.eh_proj);
    visit(self.shared_head_norm);
    Block<Real>::for_each_parameter(self.block, visit);
  }

  Parameter<Real> enorm, hnorm;      // [D]
  Parameter<Real> eh_proj;           // [D,2D]
  Parameter<Real> shared_head_norm;  // [D]
  Block<Real> block;
  Saved saved;

 private:
  int D_;
  double eps_;
};

}  // namespace shenhong
