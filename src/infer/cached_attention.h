// Latent attention of new tokens of some sequences: projects them all at once, writes their latents
// and rotary keys into their pages, and lets each see its own sequence up to itself.
#pragma once

#include <span>
#include <vector>

#include "core/buffer.h"
#include "infer/absorbed_attention.h"
#include "infer/sequence.h"
#include "kernels/panel_matmul.h"

namespace shenhong {

class CachedAttention {
 public:
  explicit CachedAttention(const ModelConfig& config);

  // x [C,D] (normed), the tokens of the segments one after the other -> adds to y [C,D] and writes
  // their rows of `layer`.
  void forward(const AttentionWeights& weights, const Rope<float>& rope, const float* x, float* y,
               std::span<const Segment> segments, int layer);

 private:
  // q_ [C, H·(Dn+Dr)] and rows_ [C, Rkv+Dr] of x, neither rotated.
  void project(const AttentionWeights& weights, const float* x, int C);
  // The segment's rows, the first of which is `row`, rotated and in their pages.
  void place(const Segment& segment, int row, const Rope<float>& rope, int layer);

  ModelConfig config_;
  Activations x_, cq_in_, o_in_;
  Buffer<float> cq_, q_, rows_, o_;  // [C,Rq] [C,H·(Dn+Dr)] [C,Rkv+Dr] [C,H·Dv]
  std::vector<Attention> parts_;
};

}  // namespace shenhong
