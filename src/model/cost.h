// What a model costs, counted from its configuration: the denominators of every speed that is
// reported. Two FLOP per multiply-add; attention over the full T × T square, as the PyTorch peer
// counts it, though half of it is never computed here.
#pragma once

#include <cstdint>

#include "model/config.h"

namespace shenhong {

struct ModelCost {
  int64_t parameters_total = 0;
  // Weights that one token is multiplied with: the chosen experts only (num_experts_per_tok, or
  // the mean where it varies), the head once, no look-up of rows, no multi-token-prediction module.
  int64_t parameters_active = 0;
  int64_t parameters_active_mtp = 0;  // the same with the modules and the head once more for each
  // What per-head keys and values of a token would take in a cache, over all layers.
  int64_t mha_kv_numbers_per_token = 0;
};

ModelCost cost_of(const ModelConfig& config);

// Numbers that the cache holds of a token in one layer: the latent and the rotary key, or the keys
// and values of grouped-query attention.
int kv_row_size(const ModelConfig& config);

// Forward and backward (3 × forward) of one position of a sequence of T, modules included.
double training_flop_per_token(const ModelConfig& config, int T);
// Forward of one position whose attention sees `context` tokens, without the modules.
double forward_flop_per_token(const ModelConfig& config, int context);

}  // namespace shenhong
