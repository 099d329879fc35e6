// The two forms of latent attention over a cache (V2 report, 2.1; techniques 2.1). They are equal
// up to rounding; what differs is the work.
//
//   expanded  k_nope = W_UK,h c   v = W_UV,h c   score = q_nope·k_nope + q_rope·k_rope
//             o_h = Σ p v
//   absorbed  q̃_h = W_UK,hᵀ q_nope               score = q̃·c + q_rope·k_rope
//             o_h = W_UV,h Σ p c
// Expanding costs Rkv·(Dn+Dv) per cached token and head, but then a pair of tokens costs only
// Dn+Dr+Dv instead of 2·Rkv+Dr: right for a prompt (infer/expanded_attention), wrong for a single
// token (infer/absorbed_attention).
//
// What comes out for a query depends on that query, the rows that it sees and the form alone, not
// on how many queries are asked at once.
#pragma once

#include <span>

#include "infer/page_pool.h"
#include "infer/weights.h"
#include "kernels/kernels.h"

namespace shenhong {

enum class AttentionForm { kExpanded, kAbsorbed };

// The queries of tokens T-C .. T-1 of a sequence, each seeing itself and all before it.
struct Attention {
  explicit Attention(const ModelConfig& config);

  int H, Dn, Dr, Dv, Rkv;
  float scale;
  AttentionForm form = AttentionForm::kAbsorbed;
  int C = 0, T = 0;
  int unseen = 0;  // tokens at the beginning that nobody sees; absorbed only
  // [C, H·(Dn+Dr)], rotated. kQueryPadding more rows can be read; what they hold does not matter.
  const float* q = nullptr;
  const PagePool* pool = nullptr;
  std::span<const int> pages;  // of the sequence, at least those of its first T tokens
  int layer = 0;
  std::span<const HeadWeights> heads;  // H
  float* o = nullptr;                  // [C, H·Dv], the heads' outputs
};

constexpr int kQueryPadding = kFewRows;

// All of them at once, over all threads.
void attend(std::span<const Attention> all);

}  // namespace shenhong
