// Random models that are small enough to test with and turn on every switch of the architecture.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "core/random.h"
#include "model/model.h"

namespace shenhong {

struct NamedConfig {
  std::string name;
  ModelConfig config;
};
inline void PrintTo(const NamedConfig& named, std::ostream* out) { *out << named.name; }

inline ModelConfig tiny_config() {
  ModelConfig c;
  c.vocab_size = 96;
  c.hidden_size = 48;
  c.num_hidden_layers = 3;
  c.max_position_embeddings = 64;
  c.initializer_range = 0.15;  // large enough that attention and router are far from uniform
  c.num_attention_heads = 3;
  c.q_lora_rank = 0;
  c.kv_lora_rank = 20;
  c.qk_nope_head_dim = 12;
  c.qk_rope_head_dim = 8;
  c.v_head_dim = 10;
  c.intermediate_size = 70;
  c.first_k_dense_replace = 1;
  c.n_routed_experts = 8;
  c.num_experts_per_tok = 2;
  c.n_shared_experts = 1;
  c.moe_intermediate_size = 24;
  return c;
}

inline std::vector<NamedConfig> tiny_configs() {
  std::vector<NamedConfig> out;
  const auto add = [&](const char* name, auto&& change) {
    ModelConfig c = tiny_config();
    change(c);
    out.push_back({name, c});
  };
  add("plain", [](ModelConfig&) {});
  add("compressed_queries", [](ModelConfig& c) { c.q_lora_rank = 28; });
  add("yarn", [](ModelConfig& c) {
    c.rope_scaling.factor = 4;
    c.rope_scaling.original_max_position_embeddings = 16;
  });
  add("tied", [](ModelConfig& c) { c.tie_word_embeddings = true; });
  add("softmax_router", [](ModelConfig& c) {
    c.scoring_func = "softmax";
    c.norm_topk_prob = false;
    c.routed_scaling_factor = 2;
  });
  add("groups", [](ModelConfig& c) {
    c.n_group = 4;
    c.topk_group = 2;
    c.num_experts_per_tok = 3;
    c.routed_scaling_factor = 1.7;
  });
  add("no_shared_expert", [](ModelConfig& c) { c.n_shared_experts = 0; });
  add("all_dense", [](ModelConfig& c) { c.first_k_dense_replace = 3; });
  add("everything", [](ModelConfig& c) {
    c.q_lora_rank = 28;
    c.rope_scaling.factor = 4;
    c.rope_scaling.original_max_position_embeddings = 16;
    c.n_group = 2;
    c.topk_group = 1;
    c.n_shared_experts = 2;
    c.routed_scaling_factor = 1.5;
    c.first_k_dense_replace = 0;
    c.num_nextn_predict_layers = 1;
  });
  return out;
}

// Forms that DeepSeek-V3 does not have, and GGUF and other programs do not know.
inline std::vector<NamedConfig> beyond_configs() {
  std::vector<NamedConfig> out;
  const auto add = [&](const char* name, auto&& change) {
    ModelConfig c = tiny_config();
    change(c);
    out.push_back({name, c});
  };
  const auto memory = [](ModelConfig& c) {
    c.ngram_memory = {.layers = {0, 2}, .max_order = 3, .heads = 2, .rows = 40, .head_dim = 5};
  };
  const auto threshold = [](ModelConfig& c) {
    c.routing = {.method = "threshold", .min_experts = 0, .max_experts = 5};
  };
  add("threshold", threshold);
  add("threshold_all_experts", [](ModelConfig& c) { c.routing.method = "threshold"; });
  add("identity", [](ModelConfig& c) {
    c.num_experts_per_tok = 3;
    c.routing = {.method = "identity", .mean_experts = 1.5, .identity_experts = 4};
  });
  add("identity_softmax", [](ModelConfig& c) {
    c.routing = {.method = "identity", .mean_experts = 1.5, .identity_experts = 2};
    c.scoring_func = "softmax";
    c.norm_topk_prob = false;
    c.routed_scaling_factor = 2;
    c.num_nextn_predict_layers = 1;
  });
  add("ngram_memory", memory);
  add("threshold_and_memory", [&](ModelConfig& c) {
    threshold(c);
    memory(c);
    c.num_nextn_predict_layers = 1;
  });
  return out;
}

inline std::vector<NamedConfig> all_configs() {
  std::vector<NamedConfig> out = tiny_configs();
  for (const NamedConfig& named : beyond_configs()) out.push_back(named);
  return out;
}

// Dense models with grouped-query attention, which are decoded and not trained.
inline std::vector<NamedConfig> grouped_query_configs() {
  ModelConfig c = tiny_config();
  c.first_k_dense_replace = c.num_hidden_layers;
  c.num_attention_heads = 6;
  c.qk_rope_head_dim = c.v_head_dim = 10;
  c.qk_nope_head_dim = c.kv_lora_rank = 0;
  c.grouped_query.num_key_value_heads = 2;
  std::vector<NamedConfig> out{{"grouped_query", c}};
  c.grouped_query = {.num_key_value_heads = 1,
                     .rope_interleave = false,
                     .attention_bias = true,
                     .output_bias = true,
                     .rope_divisors = {1, 1, 1.5, 4, 8}};
  out.push_back({"multi_query_with_biases", c});
  return out;
}

// Gains and router biases are moved off 1 and 0 too.
inline std::unique_ptr<Model<float>> random_model(const ModelConfig& config, uint64_t seed) {
  auto model = std::make_unique<Model<float>>(config);
  model->initialize(seed);
  model->for_each_parameter([&](Parameter<float>& p) {
    if (!p.is_vector) return;
    const bool is_bias = p.name.ends_with("e_score_correction_bias");
    for (int64_t i = 0; i < p.size(); ++i)
      p.value[i] = is_bias ? float(0.2 * uniform(seed, fnv1a(p.name), uint64_t(i))) +
                                 (config.by_threshold() ? -0.75f : 0.0f)
                           : float(1 + 0.2 * normal(seed, fnv1a(p.name), uint64_t(i)));
  });
  return model;
}

// A model whose module drafts what the trunk would say for as long as the trunk says what its last
// token alone asks for: that is always where the layers add nothing, and less often the more they
// add. `share` scales what they add.
inline std::unique_ptr<Model<float>> agreeing_model(ModelConfig config, double share,
                                                    uint64_t seed) {
  config.num_nextn_predict_layers = 1;
  auto model = random_model(config, seed);
  const int D = config.hidden_size;
  Mtp<float>& module = model->mtp.front();
  model->for_each_parameter([&](Parameter<float>& p) {
    const bool adds = p.name.find("o_proj") != p.name.npos ||
                      p.name.find("down_proj") != p.name.npos ||
                      p.name.find("value_proj") != p.name.npos;
    const bool modules =
        p.name.starts_with(fmt::format("model.layers.{}.", config.num_hidden_layers));
    for (int64_t i = 0; adds && i < p.size(); ++i) p.value[i] *= modules ? 0 : float(share);
  });
  for (Parameter<float>* gain :
       {&model->norm, &module.shared_head_norm, &module.enorm, &module.hnorm})
    std::fill(gain->value.begin(), gain->value.end(), 1.0f);
  for (int r = 0; r < D; ++r)
    for (int c = 0; c < 2 * D; ++c) module.eh_proj.value[int64_t(r) * 2 * D + c] = r == c;
  return model;
}

inline std::vector<int> random_tokens(int count, int vocab_size, uint64_t seed) {
  std::vector<int> out(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i)
    out[size_t(i)] = int(uniform_below(uint64_t(vocab_size), seed, 1, uint64_t(i)));
  return out;
}

// Logits [T,V] of the training forward pass, the definition.
inline Buffer<float> full_logits(Model<float>& model, const std::vector<int>& tokens) {
  Batch batch;
  batch.B = 1;
  batch.T = int(tokens.size());
  batch.tokens = tokens;
  batch.tokens.resize(tokens.size() + size_t(model.config().num_nextn_predict_layers), 0);
  batch.targets.assign(batch.tokens.size(), Batch::kIgnore);
  Buffer<float> out;
  model.logits(batch, 0, out);
  return out;
}

}  // namespace shenhong
