#include "model/config.h"

#include <cmath>

namespace shenhong {

void ModelConfig::validate(const std::string& where) const {
  const auto positive = [&](const char* name, int64_t value) {
    SH_CHECK(value > 0, kBadInput, "{}: {} = {}: must be at least 1", where, name, value);
    SH_CHECK(value <= (1 << 24), kBadInput, "{}: {} = {}: at most {} is supported", where, name,
             value, 1 << 24);
  };
  positive("vocab_size", vocab_size);
  positive("hidden_size", hidden_size);
  positive("num_hidden_layers", num_hidden_layers);
  positive("max_position_embeddings", max_position_embeddings);
  positive("num_attention_heads", num_attention_heads);
  positive("kv_lora_rank", kv_lora_rank);
  positive("qk_nope_head_dim", qk_nope_head_dim);
  positive("qk_rope_head_dim", qk_rope_head_dim);
  positive("v_head_dim", v_head_dim);
  SH_CHECK(qk_rope_head_dim % 2 == 0, kBadInput,
           "{}: qk_rope_head_dim = {}: rotary pairs ask for an even number", where,
           qk_rope_head_dim);
  SH_CHECK(q_lora_rank >= 0, kBadInput, "{}: q_lora_rank = {}: 0 means none, otherwise at least 1",
           where, q_lora_rank);
  SH_CHECK(first_k_dense_replace >= 0, kBadInput,
           "{}: first_k_dense_replace = {}: must be at least 0", where, first_k_dense_replace);
  SH_CHECK(num_nextn_predict_layers >= 0 && num_nextn_predict_layers <= 8, kBadInput,
           "{}: num_nextn_predict_layers = {}: 0 to 8 are supported", where,
           num_nextn_predict_layers);
  SH_CHECK(rms_norm_eps > 0 && rms_norm_eps < 1, kBadInput,
           "{}: rms_norm_eps = {}: must lie between 0 and 1", where, rms_norm_eps);
  SH_CHECK(rope_theta > 1, kBadInput, "{}: rope_theta = {}: must be above 1", where, rope_theta);
  SH_CHECK(rope_scaling.factor >= 1, kBadInput, "{}: rope_scaling.factor = {}: must be at least 1",
           where, rope_scaling.factor);
  SH_CHECK(bos_token_id >= 0 && bos_token_id < vocab_size && eos_token_id >= 0 &&
               eos_token_id < vocab_size,
           kBadInput, "{}: bos_token_id = {} and eos_token_id = {} must lie below vocab_size = {}",
           where, bos_token_id, eos_token_id, vocab_size);
  if (first_k_dense_replace > 0) positive("intermediate_size", intermediate_size);
  if (first_k_dense_replace >= num_hidden_layers && num_nextn_predict_layers == 0) return;

  positive("n_routed_experts", n_routed_experts);
  positive("num_experts_per_tok", num_experts_per_tok);
  positive("moe_intermediate_size", moe_intermediate_size);
  SH_CHECK(n_shared_experts >= 0, kBadInput, "{}: n_shared_experts = {}: must be at least 0", where,
           n_shared_experts);
  SH_CHECK(n_group > 0 && n_routed_experts % n_group == 0, kBadInput,
           "{}: n_routed_experts = {} cannot be split into n_group = {} equal groups", where,
           n_routed_experts, n_group);
  SH_CHECK(topk_group > 0 && topk_group <= n_group, kBadInput,
           "{}: topk_group = {}: must lie in 1..n_group = {}", where, topk_group, n_group);
  const int reachable = n_routed_experts / n_group * topk_group;
  SH_CHECK(num_experts_per_tok <= reachable, kBadInput,
           "{}: num_experts_per_tok = {}, but topk_group = {} of {} groups hold {}", where,
           num_experts_per_tok, topk_group, n_group, reachable);
  SH_CHECK(scoring_func == "sigmoid" || scoring_func == "softmax", kBadInput,
           "{}: scoring_func = '{}': known are sigmoid and softmax", where, scoring_func);
}

double ModelConfig::attention_scale() const {
  const double scale = 1 / std::sqrt(double(qk_head_dim()));
  if (rope_scaling.factor == 1) return scale;
  const double mscale = 0.1 * rope_scaling.mscale_all_dim * std::log(rope_scaling.factor) + 1;
  return scale * mscale * mscale;
}

ModelConfig read_config(const fs::path& path) {
  const std::string where = path.string();
  Json json = parse_json(read_file(path), where);
  SH_CHECK(json.is_object(), kBadInput, "{}: want a JSON object", where);
  for (auto it = json.begin(); it != json.end();)
    it = it->is_null() ? json.erase(it) : std::next(it);
  // Hugging Face writes integers for some of our fractions and adds "type" or "rope_type": both are
  // fine.
  ModelConfig config;
  fields_from_json(config, json, where, /*strict=*/false);
  config.validate(where);
  return config;
}

std::string write_config(const ModelConfig& config) {
  Json json = {{"architectures", {"DeepseekV3ForCausalLM"}}, {"model_type", "deepseek_v3"}};
  json.update(fields_to_json(config));
  if (config.q_lora_rank == 0) json["q_lora_rank"] = nullptr;
  if (config.rope_scaling.factor == 1) {
    json["rope_scaling"] = nullptr;
  } else {
    json["rope_scaling"]["type"] = "yarn";
    json["rope_scaling"]["rope_type"] = "yarn";
  }
  json["num_key_value_heads"] = config.num_attention_heads;
  json["hidden_act"] = "silu";
  json["attention_bias"] = false;
  json["attention_dropout"] = 0.0;
  json["rope_interleave"] = true;
  json["topk_method"] = "noaux_tc";
  json["torch_dtype"] = "bfloat16";
  return dump_json(json, 2) + "\n";
}

}  // namespace shenhong
