// The two forms of latent attention over a cache (V2 report, 2.1; techniques 2.1). They are equal
// up to rounding; what differs is the work.
//
//   expanded  k_nope = W_UK,h c   v = W_UV,h c   score = q_nope·k_nope + q_rope·k_rope   o_h = Σ p
//   v absorbed  q̃_h = W_UK,hᵀ q_nope               score = q̃·c + q_rope·k_rope
//             o_h = W_UV,h Σ p c
// Expanding costs Rkv·(Dn+Dv) per cached token and head, but then a pair of tokens costs only
// Dn+Dr+Dv instead of 2·Rkv+Dr: right for a prompt, wrong for a single token.
#pragma once

#include <span>

#include "infer/weights.h"

namespace shenhong {

// The queries of the last C tokens of a sequence of T, each seeing itself and all before it.
struct Attention {
  explicit Attention(const ModelConfig& config);

  int H, Dn, Dr, Dv, Rkv;
  float scale;
  int C = 0, T = 0;
  const float* q = nullptr;            // [C, H·(Dn+Dr)], rotated
  const float* rows = nullptr;         // [T, Rkv+Dr], the cache's: latent, then rotary key
  std::span<const HeadWeights> heads;  // H
  float* o = nullptr;                  // [C, H·Dv], the heads' outputs
};

void attend_expanded(const Attention& a);
void attend_absorbed(const Attention& a);

// Whether the absorbed form takes fewer multiply-adds.
bool absorbing_is_cheaper(const Attention& a);

}  // namespace shenhong
