// Latent attention of new tokens on top of a cache: projects them, appends their latents and rotary
// keys, and attends over the whole sequence in whichever form is cheaper.
#pragma once

#include "core/buffer.h"
#include "infer/absorbed_attention.h"
#include "infer/kv_cache.h"
#include "kernels/panel_matmul.h"

namespace shenhong {

class CachedAttention {
 public:
  explicit CachedAttention(const ModelConfig& config);

  // x [C,D] (normed), tokens cache.size() .. cache.size()+C-1 of the sequence -> adds to y [C,D]
  // and writes their rows of `layer`.
  void forward(const AttentionWeights& weights, const Rope<float>& rope, const float* x, float* y,
               int C, int layer, KvCache& cache);

 private:
  // q_ [C, H·(Dn+Dr)] and rows [C, Rkv+Dr] of x, neither rotated.
  void project(const AttentionWeights& weights, const float* x, float* rows, int C);

  ModelConfig config_;
  Activations x_, cq_in_, o_in_;
  Buffer<float> cq_, q_, o_;  // [C,Rq] [C,H·(Dn+Dr)] [C,H·Dv]
};

}  // namespace shenhong
