// Latent attention of new tokens of some sequences: projects them all at once, writes their latents
// and rotary keys into their pages, and lets each see its own sequence up to itself.
#pragma once

#include <span>
#include <vector>

#include "core/buffer.h"
#include "infer/latent_attention.h"
#include "infer/sequence.h"
#include "kernels/panel_matmul.h"

namespace shenhong {

// Tokens of one sequence, for which there are pages.
struct CachedRows {
  const Sequence* sequence;
  int begin, count;
  int unseen = 0;  // tokens at the sequence's beginning that nobody sees
};

class CachedAttention {
 public:
  explicit CachedAttention(const ModelConfig& config);

  // x [C,D] (normed), the rows of all one after the other -> adds to y [C,D] and writes what
  // `layer` keeps of them.
  void forward(const AttentionWeights& weights, const Rope<float>& rope, const float* x, float* y,
               std::span<const CachedRows> all, int layer);
  // Writes alone.
  void keep(const AttentionWeights& weights, const Rope<float>& rope, const float* x,
            std::span<const CachedRows> all, int layer);

 private:
  // q_ [C, H·(Dn+Dr)], unless nobody asks, and rows_ [C, Rkv+Dr] of x, neither rotated and the
  // latents not normed.
  void project(const AttentionWeights& weights, const float* x, int C, bool queries);
  // Norms the latents, rotates, from row `row` on, and puts rows_ into their pages.
  void place(const AttentionWeights& weights, const CachedRows& rows, int row,
             const Rope<float>& rope, int layer, bool queries);

  ModelConfig config_;
  Activations x_, cq_in_, o_in_;
  Buffer<float> cq_, q_, rows_, o_;  // [C,Rq] [C,H·(Dn+Dr)] [C,Rkv+Dr] [C,H·Dv]
  std::vector<Attention> parts_;
};

}  // namespace shenhong
