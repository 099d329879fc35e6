// Multi-head latent attention (V2 report, 2.1 and appendix C; V3 report, 2.1.1), in the form for
// training and prefill, where per-head keys and values are expanded from the latent.
// The absorbed form for decoding on the latent cache is infer/absorbed_attention.
//
//   c_q = RMSNorm(W_DQ x)              q = W_UQ c_q -> per head [q_nope | rope(q_rope)]   (or q =
//   W_Q x) c_kv = RMSNorm(W_DKV x)            k_rope = rope(W_KR x), one for all heads [k_nope |
//   v]_h = W_UKV,h c_kv      k_h = [k_nope,h | k_rope] y = W_O [ softmax(scale · q_h k_hᵀ) v_h ]_h
#pragma once

#include <string>

#include "model/config.h"
#include "model/parameter.h"
#include "model/rope.h"
#include "model/saved_activation.h"

namespace shenhong {

template <class Real>
class Mla {
 public:
  // What the backward pass needs of a forward pass.
  struct Saved {
    SavedActivation<Real> cq_raw, cq;    // [N,Rq] [N,Rq]; unused without query compression
    SavedActivation<Real> q;             // [N, H·(Dn+Dr)], rotated
    SavedActivation<Real> ckv_raw, ckv;  // [N,Rkv] [N,Rkv]
    SavedActivation<Real> k_rope;        // [N,Dr], rotated
    SavedActivation<Real> kv;            // [N, H·(Dn+Dv)], per head k_nope then v
    SavedActivation<Real> o;             // [N, H·Dv], the heads' outputs
    Buffer<Real> cq_rstd, ckv_rstd;      // [N]

    // visit(activation, whether a linear layer reads it: else attention or a norm does)
    template <class Self, class Visit>
    static void for_each_activation(Self& self, Visit&& visit) {
      visit(self.cq_raw, false);
      visit(self.cq, true);
      visit(self.q, false);
      visit(self.ckv_raw, false);
      visit(self.ckv, true);
      visit(self.k_rope, false);
      visit(self.kv, false);
      visit(self.o, false);  // the layer after the attention is the most sensitive one
    }
    template <class Visit>
    void for_each(Visit&& visit) const {
      for_each_activation(*this, [&](const auto& a, bool) { visit(a); });
      visit(cq_rstd);
      visit(ckv_rstd);
    }
  };

  Mla(const ModelConfig& config, const std::string& prefix);

  // x [N,D], N = B·T -> adds to y [N,D]
  void forward(const Real* x, Real* y, int B, int T, const Rope<Real>& rope, Saved& s) const;
  // dy [N,D] -> adds to dx [N,D] and to all gradients
  void backward(const Real* dy, const Real* x, Real* dx, int B, int T, const Rope<Real>& rope,
                Saved& s);

  template <class Self, class Visit>
  static void for_each_parameter(Self& self, Visit&& visit) {
    if (self.q_lora_rank_ > 0) {
      visit(self.q_a_proj);
      visit(self.q_a_layernorm);
      visit(self.q_b_proj);
    } else {
      visit(self.q_proj);
    }
    visit(self.kv_a_proj_with_mqa);
    visit(self.kv_a_layernorm);
    visit(self.kv_b_proj);
    visit(self.o_proj);
  }

  Parameter<Real> q_proj;                             // [H·(Dn+Dr), D], without query compression
  Parameter<Real> q_a_proj, q_a_layernorm, q_b_proj;  // [Rq,D] [Rq] [H·(Dn+Dr), Rq], with it
  Parameter<Real> kv_a_proj_with_mqa;  // [Rkv + Dr, D]: the latent's rows, then k_rope's
  Parameter<Real> kv_a_layernorm;      // [Rkv]
  Parameter<Real> kv_b_proj;           // [H·(Dn+Dv), Rkv]: per head W_UK, then W_UV
  Parameter<Real> o_proj;              // [D, H·Dv]

 private:
  // The attention's operands and results, each as in Saved.
  struct Heads {
    const Real *q, *kv, *k_rope;
  };
  void attend(const Heads& heads, Real* o, int B, int T) const;
  void attend_backward(const Real* d_o, const Heads& heads, int B, int T, Real* dq, Real* dkv,
                       Real* dk_rope) const;

  int D_, H_, Dn_, Dr_, Dv_, Rkv_, q_lora_rank_;
  double eps_;
  Real scale_;
};

}  // namespace shenhong
