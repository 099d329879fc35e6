// Latent attention of a prompt's queries (infer/latent_attention.h): keys and values of all tokens
// that they see are made from the latents, head by head.
#pragma once

#include "infer/latent_attention.h"
#include "kernels/panel_matmul.h"

namespace shenhong {

class ExpandedAttention {
 public:
  // Reads what the queries of `a` see from its pages, once for all heads. Over all threads.
  void prepare(const Attention& a);
  // The outputs of a head. From any thread.
  void run_head(const Attention& a, int h);

 private:
  Buffer<float> latents_, k_rope_;  // [T,Rkv] [T,Dr]
  Activations latents_in_;
};

}  // namespace shenhong
