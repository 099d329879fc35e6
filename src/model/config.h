// What a checkpoint is: DeepSeek-V3's config.json under its published keys. Dense models of Llama's
// form, whose attention is grouped_query, are told under the same ones (model/llama_config).
//
// Dimension letters used all over src/model (sizes are bound to them at the top of a function):
//   B sequences  T tokens of a sequence  N = B·T  D hidden_size  V vocab_size  H attention heads
//   Dn qk_nope_head_dim  Dr qk_rope_head_dim  Dv v_head_dim  Rq q_lora_rank  Rkv kv_lora_rank
//   E n_routed_experts  K num_experts_per_tok  F an MLP's intermediate size
//   R router_experts, the routed ones and behind them the identity ones
//   G num_key_value_heads  Dh head_dim
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "core/fields.h"
#include "core/file.h"

namespace shenhong {

// YaRN context extension as DeepSeek does it (V2 report, 3.1.4); factor 1 is plain RoPE.
struct RopeScaling {
  double factor = 1;
  double original_max_position_embeddings = 4096;
  double beta_fast = 32, beta_slow = 1;
  double mscale = 1, mscale_all_dim = 1;

  template <class Visit>
  void fields(Visit&& v) {
    v("factor", factor, "context extension factor; 1 = plain RoPE");
    v("original_max_position_embeddings", original_max_position_embeddings,
      "context before the extension");
    v("beta_fast", beta_fast, "rotations above which a frequency is kept");
    v("beta_slow", beta_slow, "rotations below which a frequency is divided by factor");
    v("mscale", mscale, "scale of cos and sin, relative to mscale_all_dim");
    v("mscale_all_dim", mscale_all_dim, "temperature of the attention scores");
  }
};

// How many experts a token takes (model/router). This and NgramMemoryConfig are ours: a model that
// uses them is no DeepSeek-V3.
struct RoutingConfig {
  std::string method = "topk";  // or "threshold" or "identity"
  double mean_experts = 0;
  int min_experts = 1, max_experts = 0;
  int identity_experts = 0;

  template <class Visit>
  void fields(Visit&& v) {
    v("method", method,
      "topk: a token takes num_experts_per_tok experts; threshold: those whose score passes "
      "theirs; identity: num_experts_per_tok of the routed and the identity experts");
    v("mean_experts", mean_experts,
      "threshold, identity: routed experts of a token on average; threshold: 0 = "
      "num_experts_per_tok");
    v("min_experts", min_experts, "threshold: fewest experts of a token");
    v("max_experts", max_experts, "threshold: most experts of a token; 0 = all");
    v("identity_experts", identity_experts, "identity: experts that give back their input");
  }
};

// Rows looked up by hashes of the last tokens (model/ngram_memory).
struct NgramMemoryConfig {
  std::vector<int> layers;
  int max_order = 3, heads = 4, rows = 8192, head_dim = 8;

  template <class Visit>
  void fields(Visit&& v) {
    v("layers", layers, "layers with a memory of n-grams; none = off");
    v("max_order", max_order, "longest n-gram; those of 2 tokens and more are looked up");
    v("heads", heads, "tables per order, each with a hash of its own");
    v("rows", rows, "a table has the next prime of rows, or more");
    v("head_dim", head_dim, "numbers per row");
  }
  bool on() const { return !layers.empty(); }
  int width() const { return (max_order - 1) * heads * head_dim; }  // of all rows side by side
};

// Grouped-query attention (Ainslie et al., 2023) in the place of the latent one. All of a head is
// then rotary: qk_nope_head_dim and the ranks are 0, qk_rope_head_dim and v_head_dim are head_dim.
// Such a model is decoded and not trained.
struct GroupedQueryConfig {
  int num_key_value_heads = 0;
  bool rope_interleave = true;
  bool attention_bias = false, output_bias = false;
  std::vector<double> rope_divisors;

  template <class Visit>
  void fields(Visit&& v) {
    v("num_key_value_heads", num_key_value_heads,
      "heads of keys and values, each for as many heads of queries; 0 = latent attention");
    v("rope_interleave", rope_interleave,
      "rotary pairs are neighbours (2i, 2i+1); else (i, i + head_dim/2)");
    v("attention_bias", attention_bias, "queries, keys and values have biases");
    v("output_bias", output_bias, "the attention's output has a bias");
    v("rope_divisors", rope_divisors,
      "what the rotary frequencies are divided by, head_dim/2 numbers; none = 1");
  }
  bool on() const { return num_key_value_heads > 0; }
};

struct ModelConfig {
  int vocab_size = 8192;
  int hidden_size = 256;
  int num_hidden_layers = 6;
  int max_position_embeddings = 512;
  double rms_norm_eps = 1e-6;
  double initializer_range = 0.02;
  bool tie_word_embeddings = false;

  // multi-head latent attention (V2 report, 2.1)
  int num_attention_heads = 8;
  int q_lora_rank = 0;  // 0: queries are not compressed
  int kv_lora_rank = 64;
  int qk_nope_head_dim = 32, qk_rope_head_dim = 16, v_head_dim = 32;
  double rope_theta = 10000;
  RopeScaling rope_scaling;

  GroupedQueryConfig grouped_query;

  // feed-forward: the first first_k_dense_replace layers are dense, the others DeepSeekMoE (V3
  // report, 2.1.2)
  int intermediate_size = 768;
  int first_k_dense_replace = 1;
  int n_routed_experts = 16, num_experts_per_tok = 2, n_shared_experts = 1;
  int moe_intermediate_size = 192;
  int n_group = 1, topk_group = 1;
  bool norm_topk_prob = true;
  double routed_scaling_factor = 1;
  std::string scoring_func = "sigmoid";  // or "softmax"
  RoutingConfig routing;

  NgramMemoryConfig ngram_memory;

  int num_nextn_predict_layers = 0;  // multi-token prediction depth (V3 report, 2.2)

  int bos_token_id = 0, eos_token_id = 1;

  template <class Visit>
  void fields(Visit&& v) {
    v("vocab_size", vocab_size, "rows of the embedding and of the head");
    v("hidden_size", hidden_size, "width of the residual stream");
    v("num_hidden_layers", num_hidden_layers,
      "blocks, the multi-token-prediction modules not counted");
    v("max_position_embeddings", max_position_embeddings, "context in tokens");
    v("rms_norm_eps", rms_norm_eps, "added to the mean square");
    v("initializer_range", initializer_range, "standard deviation of fresh weights");
    v("tie_word_embeddings", tie_word_embeddings, "the head is the embedding");
    v("num_attention_heads", num_attention_heads, "attention heads");
    v("q_lora_rank", q_lora_rank, "rank of the query compression; 0 = none");
    v("kv_lora_rank", kv_lora_rank, "numbers of the latent that is cached per token and layer");
    v("qk_nope_head_dim", qk_nope_head_dim, "query and key values per head without position");
    v("qk_rope_head_dim", qk_rope_head_dim, "query and key values per head with rotary position");
    v("v_head_dim", v_head_dim, "value width per head");
    v("rope_theta", rope_theta, "base of the rotary frequencies");
    v("rope_scaling", rope_scaling, "YaRN context extension");
    v("grouped_query", grouped_query, "grouped-query attention instead of the latent one");
    v("intermediate_size", intermediate_size, "width of the dense feed-forward layers");
    v("first_k_dense_replace", first_k_dense_replace, "leading layers that are dense");
    v("n_routed_experts", n_routed_experts, "routed experts per layer");
    v("num_experts_per_tok", num_experts_per_tok, "routed experts that one token uses");
    v("n_shared_experts", n_shared_experts, "experts that every token uses");
    v("moe_intermediate_size", moe_intermediate_size, "width of one expert");
    v("n_group", n_group, "experts are split into this many equal groups,");
    v("topk_group", topk_group, "and one token uses experts of this many");
    v("norm_topk_prob", norm_topk_prob, "the chosen experts' weights are made to sum to 1");
    v("routed_scaling_factor", routed_scaling_factor, "and multiplied by this");
    v("scoring_func", scoring_func, "sigmoid or softmax");
    v("routing", routing, "how many experts a token takes");
    v("ngram_memory", ngram_memory, "rows looked up by hashes of the last tokens");
    v("num_nextn_predict_layers", num_nextn_predict_layers,
      "multi-token prediction depth; 0 = off");
    v("bos_token_id", bos_token_id, "begins every sequence");
    v("eos_token_id", eos_token_id, "ends a document or an answer");
  }

  // Error(kBadInput) in the user's names when the values cannot make a model.
  void validate(const std::string& where) const;

  int qk_head_dim() const { return qk_nope_head_dim + qk_rope_head_dim; }
  bool is_moe(int layer) const { return layer >= first_k_dense_replace; }
  bool by_threshold() const { return routing.method == "threshold"; }
  // Whether tokens take different numbers of routed experts.
  bool experts_vary() const { return routing.method != "topk"; }
  int router_experts() const { return n_routed_experts + routing.identity_experts; }
  // Routed experts that a token takes, the identity ones not counted: on average, the fewest and
  // the most.
  double mean_experts() const {
    return routing.mean_experts > 0 ? routing.mean_experts : num_experts_per_tok;
  }
  int min_experts() const {
    if (by_threshold()) return routing.min_experts;
    return std::max(0, num_experts_per_tok - routing.identity_experts);
  }
  int max_experts() const {
    if (!by_threshold()) return num_experts_per_tok;
    return routing.max_experts > 0 ? routing.max_experts : n_routed_experts;
  }
  // What in it DeepSeek-V3 does not have, as "key = value"; empty when it is one. Formats and
  // programs that know only DeepSeek-V3 cannot run such a model.
  std::string beyond_deepseek() const;
  // Softmax scale of attention: 1/sqrt(Dn + Dr), times mscale² under YaRN (V3's model code).
  double attention_scale() const;
};

// config.json as Hugging Face writes it, with the keys its DeepseekV3Config needs beside ours. What
// is beyond DeepSeek-V3 gets another model_type, so that no other program takes it for one; models
// with grouped-query attention are read only.
// Reading ignores unknown keys; null means absent (q_lora_rank: null, rope_scaling: null).
ModelConfig read_config(const fs::path& path);
std::string write_config(const ModelConfig& config);

}  // namespace shenhong
