// The feed-forward half of a block while decoding. A few tokens touch the weights of the experts
// they chose and no others, one at a time; a longer run is grouped by expert (model/moe).
#pragma once

#include "core/buffer.h"
#include "model/block.h"

namespace shenhong {

class FeedForward {
 public:
  explicit FeedForward(const ModelConfig& config) : K_(config.num_experts_per_tok) {}

  // x [C,D] (normed) -> adds to y [C,D]; counts the experts' tokens in the block's `load`.
  void forward(Block<float>& block, const float* x, float* y, int C);

 private:
  void dense(const Mlp<float>& mlp, const float* x, float* y, int C);
  void chosen_experts(Moe<float>& moe, const float* x, float* y, int C);

  int K_;
  Router<float>::Saved routed_;
  Moe<float>::Saved grouped_;
  Buffer<float> a_, b_, out_;
};

}  // namespace shenhong
