// Small models that exercise every branch of the configuration.
#pragma once

#include "core/random.h"
#include "model/model.h"

namespace shenhong {

// Two layers (dense, then experts) and one multi-token-prediction module, odd sizes throughout.
inline ModelConfig toy_config() {
  ModelConfig c;
  c.vocab_size = 29;
  c.hidden_size = 12;
  c.num_hidden_layers = 2;
  c.max_position_embeddings = 32;
  c.initializer_range = 0.3;
  c.num_attention_heads = 3;
  c.kv_lora_rank = 7;
  c.qk_nope_head_dim = 5;
  c.qk_rope_head_dim = 4;
  c.v_head_dim = 6;
  c.intermediate_size = 17;
  c.n_routed_experts = 6;
  c.num_experts_per_tok = 2;
  c.moe_intermediate_size = 9;
  c.routed_scaling_factor = 1.5;
  c.num_nextn_predict_layers = 1;
  return c;
}

inline Batch toy_batch(const ModelConfig& c, int B, int T, uint64_t seed = 1) {
  Batch batch{B, T, {}, {}};
  const int row = T + c.num_nextn_predict_layers;
  for (int i = 0; i < B * row; ++i) {
    batch.tokens.push_back(int(uniform_below(c.vocab_size, seed, 1, i)));
    batch.targets.push_back(i % 7 == 3 ? Batch::kIgnore
                                       : int(uniform_below(c.vocab_size, seed, 2, i)));
  }
  return batch;
}

// Gains off 1 and biases off 0, where a mistake would hide at the initial values.
template <class Real>
void disturb(Model<Real>& model) {
  model.for_each_parameter([](Parameter<Real>& p) {
    if (!p.is_vector) return;
    for (int i = 0; i < p.cols; ++i) p.value[i] += Real(0.1 * normal(5, fnv1a(p.name), i));
  });
}

}  // namespace shenhong
