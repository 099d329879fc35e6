// Rotary position embedding on adjacent pairs (2i, 2i+1), as in DeepSeek's checkpoints, with YaRN's
// frequency interpolation (V2 report, 3.1.4; techniques 2.2); on pairs (i, i + Dr/2) where a model
// of Llama's form has them so.
#pragma once

#include "core/buffer.h"
#include "model/config.h"

namespace shenhong {

template <class Real>
class Rope {
 public:
  explicit Rope(const ModelConfig& config);

  // Rotates x [rows, Dr] in place, all rows at the same position; `stride` elements between rows.
  void rotate(Real* x, int rows, int64_t stride, int position) const;
  // The inverse rotation, which is also its transpose: the backward pass.
  void rotate_back(Real* x, int rows, int64_t stride, int position) const;

 private:
  int Dr_;
  int step_, apart_;        // a pair's first element is at step·i, its second one so far from it
  Buffer<Real> cos_, sin_;  // [max_position_embeddings, Dr/2]
};

}  // namespace shenhong
