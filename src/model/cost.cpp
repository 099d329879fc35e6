#include "model/cost.h"

#include "model/ngram_memory.h"

namespace shenhong {
namespace {

int64_t attention_weights(const ModelConfig& c) {
  const int64_t D = c.hidden_size, H = c.num_attention_heads;
  if (c.grouped_query.on()) return 2 * D * (H + c.grouped_query.num_key_value_heads) * c.v_head_dim;
  const int64_t q_out = H * c.qk_head_dim();
  const int64_t q = c.q_lora_rank > 0 ? c.q_lora_rank * (D + q_out) : D * q_out;
  const int64_t kv = D * (c.kv_lora_rank + c.qk_rope_head_dim) +
                     c.kv_lora_rank * H * (c.qk_nope_head_dim + c.v_head_dim);
  return q + kv + H * c.v_head_dim * D;
}

int64_t expert_weights(const ModelConfig& c) {
  return int64_t(3) * c.hidden_size * c.moe_intermediate_size;
}

// Feed-forward weights of one layer: all of them, or those that one token meets.
int64_t feed_forward_weights(const ModelConfig& c, bool is_moe, bool active) {
  if (!is_moe) return int64_t(3) * c.hidden_size * c.intermediate_size;
  const double routed = active ? c.mean_experts() : c.n_routed_experts;
  return int64_t((routed + c.n_shared_experts) * double(expert_weights(c))) +
         int64_t(c.router_experts()) * c.hidden_size;
}

// Norm gains and biases: in the total, but no product runs over them.
int64_t vectors(const ModelConfig& c, bool is_moe) {
  const GroupedQueryConfig& g = c.grouped_query;
  const int64_t outputs = int64_t(c.num_attention_heads + 2 * g.num_key_value_heads) * c.v_head_dim;
  return 2 * c.hidden_size + c.kv_lora_rank + c.q_lora_rank + (is_moe ? c.router_experts() : 0) +
         (g.attention_bias ? outputs : 0) + (g.output_bias ? c.hidden_size : 0);
}

}  // namespace

int kv_row_size(const ModelConfig& c) {
  if (c.grouped_query.on()) return 2 * c.grouped_query.num_key_value_heads * c.v_head_dim;
  return c.kv_lora_rank + c.qk_rope_head_dim;
}

ModelCost cost_of(const ModelConfig& c) {
  const int64_t D = c.hidden_size, V = c.vocab_size, L = c.num_hidden_layers,
                P = c.num_nextn_predict_layers;
  ModelCost cost;
  cost.parameters_total = V * D * (c.tie_word_embeddings ? 1 : 2) + D;
  cost.parameters_active = V * D;
  for (int l = 0; l < L; ++l) {
    cost.parameters_total += attention_weights(c) + feed_forward_weights(c, c.is_moe(l), false) +
                             vectors(c, c.is_moe(l));
    cost.parameters_active += attention_weights(c) + feed_forward_weights(c, c.is_moe(l), true);
  }
  for (const int l : c.ngram_memory.layers) {
    const int64_t projections = 2 * D * c.ngram_memory.width();
    cost.parameters_total +=
        int64_t(NgramHash(c, l).total_rows()) * c.ngram_memory.head_dim + projections + 2 * D;
    cost.parameters_active += projections;
  }
  const int64_t module = attention_weights(c) + 2 * D * D;
  cost.parameters_total +=
      P * (module + feed_forward_weights(c, true, false) + vectors(c, true) + 3 * D);
  cost.parameters_active_mtp =
      cost.parameters_active + P * (module + feed_forward_weights(c, true, true) + V * D);
  cost.mha_kv_numbers_per_token = L * c.num_attention_heads * (c.qk_head_dim() + c.v_head_dim);
  return cost;
}

double training_flop_per_token(const ModelConfig& c, int T) {
  const double attention = 2.0 * T * c.num_attention_heads * (c.qk_head_dim() + c.v_head_dim);
  return 3 * (2.0 * double(cost_of(c).parameters_active_mtp) +
              (c.num_hidden_layers + c.num_nextn_predict_layers) * attention);
}

double forward_flop_per_token(const ModelConfig& c, int context) {
  const double attention = 2.0 * context * c.num_attention_heads * (c.qk_head_dim() + c.v_head_dim);
  return 2.0 * double(cost_of(c).parameters_active) + c.num_hidden_layers * attention;
}

}  // namespace shenhong
