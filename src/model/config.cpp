#include "model/config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <type_traits>
#include <utility>

#include "model/llama_config.h"

namespace shenhong {
namespace {

// A table of cosines is kept for every position, whatever the weights' files hold.
constexpr int kMostPositions = 1 << 20;
constexpr int kMostIdentityExperts = 1 << 16;

// Today's Hugging Face puts rope_theta and the scaling into one "rope_parameters"; the published
// checkpoints have "rope_theta" and "rope_scaling".
void split_rope_parameters(Json& json, const std::string& where) {
  const auto found = json.find("rope_parameters");
  if (found == json.end()) return;
  SH_CHECK(found->is_object(), kBadInput, "{}: rope_parameters = {}: want an object", where,
           dump_json(*found));
  Json scaling = *found;
  if (const auto theta = scaling.find("rope_theta"); theta != scaling.end()) {
    json["rope_theta"] = *theta;
    scaling.erase("rope_theta");
  }
  json["rope_scaling"] = std::move(scaling);
}

// What is not YaRN is no scaling or an error; YaRN without mscale_all_dim leaves the attention's
// temperature alone (V3's model code).
void check_rope_scaling(Json& json, const std::string& where) {
  const auto found = json.find("rope_scaling");
  if (found == json.end() || !found->is_object()) return;
  Json type = "yarn";
  for (const char* key : {"type", "rope_type"})
    if (found->contains(key)) type = (*found)[key];
  if (type == "default") {
    json.erase("rope_scaling");
    return;
  }
  SH_CHECK(type == "yarn", kBadInput, "{}: rope_scaling: type {}: only yarn and default are known",
           where, dump_json(type));
  if (!found->contains("mscale_all_dim")) (*found)["mscale_all_dim"] = 0.0;
}

// Switches of the architecture that have one position here.
void check_fixed(const Json& json, const std::string& where) {
  static const std::pair<const char*, Json> kFixed[] = {
      {"hidden_act", "silu"}, {"rope_interleave", true}, {"moe_layer_freq", 1}};
  for (const auto& [key, wanted] : kFixed) {
    const auto found = json.find(key);
    SH_CHECK(found == json.end() || *found == wanted, kBadInput,
             "{}: {} = {}: only {} is supported", where, key, dump_json(*found), dump_json(wanted));
  }
}

// The router goes by scoring_func and the groups; what else topk_method means is refused.
void check_topk_method(const Json& json, const ModelConfig& c, const std::string& where) {
  const auto found = json.find("topk_method");
  if (found == json.end() || *found == "noaux_tc") return;
  const bool greedy = *found == "greedy" && c.topk_group == c.n_group,
             by_best = *found == "group_limited_greedy" && c.scoring_func == "softmax";
  SH_CHECK(greedy || by_best, kBadInput,
           "{}: topk_method = {}: known are noaux_tc, greedy (without groups) and "
           "group_limited_greedy (of softmax scores)",
           where, dump_json(*found));
}

// Reading an int would cut the value to 32 bits.
void check_ranges(ModelConfig& config, const Json& json, const std::string& where) {
  config.fields([&](const char* name, auto& member, const char*) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(member)>, int>) {
      const auto found = json.find(name);
      SH_CHECK(found == json.end() || !found->is_number_integer() ||
                   (*found >= INT_MIN && *found <= INT_MAX),
               kBadInput, "{}: {} = {}: no such size", where, name, dump_json(*found));
    }
  });
}

void check_routing(const std::string& where, const ModelConfig& c) {
  const RoutingConfig& r = c.routing;
  const bool identity = r.method == "identity";
  SH_CHECK(c.by_threshold() || identity || r.method == "topk", kBadInput,
           "{}: routing.method = '{}': known are topk, threshold and identity", where, r.method);
  const auto only_with = [&](bool fits, const char* key, auto value, auto none, const char* with) {
    SH_CHECK(fits || value == none, kBadInput, "{}: routing.{} = {}: only with routing.method = {}",
             where, key, value, with);
  };
  const RoutingConfig none;
  only_with(c.experts_vary(), "mean_experts", r.mean_experts, none.mean_experts,
            "'threshold' or 'identity'");
  only_with(c.by_threshold(), "min_experts", r.min_experts, none.min_experts, "'threshold'");
  only_with(c.by_threshold(), "max_experts", r.max_experts, none.max_experts, "'threshold'");
  only_with(identity, "identity_experts", r.identity_experts, none.identity_experts, "'identity'");
  if (!c.experts_vary()) return;
  SH_CHECK(c.topk_group == c.n_group, kBadInput,
           "{}: routing.method = '{}' chooses experts one by one, and topk_group = {} of {} "
           "groups would be chosen first; want topk_group = n_group",
           where, r.method, c.topk_group, c.n_group);
  if (identity) {
    SH_CHECK(r.identity_experts >= 1 && r.identity_experts <= kMostIdentityExperts, kBadInput,
             "{}: routing.identity_experts = {}: want 1 to {}, or routing.method = 'topk'", where,
             r.identity_experts, kMostIdentityExperts);
    SH_CHECK(r.mean_experts > c.min_experts() && r.mean_experts < c.max_experts(), kBadInput,
             "{}: routing.mean_experts = {}: want above {} and below {}, as a token takes "
             "num_experts_per_tok = {} of routed and identity_experts = {}",
             where, r.mean_experts, c.min_experts(), c.max_experts(), c.num_experts_per_tok,
             r.identity_experts);
    return;
  }
  const double mean = c.mean_experts();
  const int E = c.n_routed_experts;
  SH_CHECK(mean > 0 && mean <= E, kBadInput,
           "{}: routing.mean_experts = {}: want more than 0, to n_routed_experts = {}", where, mean,
           E);
  SH_CHECK(r.min_experts >= 0 && r.min_experts <= mean, kBadInput,
           "{}: routing.min_experts = {}: want 0 to the mean of {}", where, r.min_experts, mean);
  SH_CHECK(
      r.max_experts == 0 || (r.max_experts >= mean && r.max_experts <= E), kBadInput,
      "{}: routing.max_experts = {}: want the mean of {} to n_routed_experts = {}, or 0 for all",
      where, r.max_experts, mean, E);
}

void check_ngram_memory(const std::string& where, const ModelConfig& c) {
  const NgramMemoryConfig& m = c.ngram_memory;
  if (!m.on()) return;
  for (size_t i = 0; i < m.layers.size(); ++i)
    SH_CHECK(m.layers[i] >= 0 && m.layers[i] < c.num_hidden_layers &&
                 (i == 0 || m.layers[i] > m.layers[i - 1]),
             kBadInput, "{}: ngram_memory.layers: want layers of 0 to {} in ascending order", where,
             c.num_hidden_layers - 1);
  const auto between = [&](const char* name, int value, int low, int high) {
    SH_CHECK(value >= low && value <= high, kBadInput, "{}: ngram_memory.{} = {}: want {} to {}",
             where, name, value, low, high);
  };
  between("max_order", m.max_order, 2, 5);
  between("heads", m.heads, 1, 16);
  between("rows", m.rows, 2, 1 << 24);
  between("head_dim", m.head_dim, 1, 1024);
}

void check_grouped_query(const std::string& where, const ModelConfig& c) {
  const int H = c.num_attention_heads, G = c.grouped_query.num_key_value_heads,
            Dh = c.qk_rope_head_dim;
  SH_CHECK(H % G == 0, kBadInput,
           "{}: num_attention_heads = {} cannot be shared out among num_key_value_heads = {}",
           where, H, G);
  SH_CHECK(Dh > 0 && Dh % 2 == 0 && H <= INT_MAX / 2 / Dh, kBadInput,
           "{}: head_dim = {}: want an even number, and at most {} for {} heads", where, Dh,
           INT_MAX / 2 / H, H);
  SH_CHECK(c.v_head_dim == Dh && c.qk_nope_head_dim == 0 && c.q_lora_rank == 0 &&
               c.kv_lora_rank == 0 && c.rope_scaling.factor == 1,
           kBadInput,
           "{}: grouped_query: wants qk_rope_head_dim = v_head_dim = {}, and none of "
           "qk_nope_head_dim, q_lora_rank, kv_lora_rank and rope_scaling",
           where, Dh);
  SH_CHECK(c.first_k_dense_replace >= c.num_hidden_layers && c.num_nextn_predict_layers == 0 &&
               !c.ngram_memory.on(),
           kBadInput,
           "{}: grouped_query: experts, prediction modules and a memory of n-grams are not "
           "supported beside it",
           where);
  const std::vector<double>& divisors = c.grouped_query.rope_divisors;
  SH_CHECK(divisors.empty() || divisors.size() == size_t(Dh / 2), kBadInput,
           "{}: {} divisors of the rotary frequencies; head_dim = {} has {}", where,
           divisors.size(), Dh, Dh / 2);
  for (const double divisor : divisors)
    SH_CHECK(divisor > 0 && std::isfinite(divisor), kBadInput,
             "{}: a rotary frequency is divided by {}: must be finite and above 0", where, divisor);
}

}  // namespace

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
  SH_CHECK(max_position_embeddings <= kMostPositions, kBadInput,
           "{}: max_position_embeddings = {}: at most {} are supported", where,
           max_position_embeddings, kMostPositions);
  positive("num_attention_heads", num_attention_heads);
  positive("qk_rope_head_dim", qk_rope_head_dim);
  positive("v_head_dim", v_head_dim);
  if (grouped_query.on()) {
    check_grouped_query(where, *this);
  } else {
    positive("kv_lora_rank", kv_lora_rank);
    positive("qk_nope_head_dim", qk_nope_head_dim);
  }
  SH_CHECK(qk_rope_head_dim % 2 == 0, kBadInput,
           "{}: qk_rope_head_dim = {}: rotary pairs ask for an even number", where,
           qk_rope_head_dim);
  SH_CHECK(q_lora_rank >= 0, kBadInput, "{}: q_lora_rank = {}: 0 means none, otherwise at least 1",
           where, q_lora_rank);
  if (q_lora_rank > 0) positive("q_lora_rank", q_lora_rank);
  const int64_t widest_head =
      std::max<int64_t>(qk_head_dim(), int64_t(qk_nope_head_dim) + v_head_dim);
  SH_CHECK(num_attention_heads <= INT_MAX / widest_head, kBadInput,
           "{}: num_attention_heads = {} of {} values each: more than {} in a row", where,
           num_attention_heads, widest_head, INT_MAX);
  SH_CHECK(first_k_dense_replace >= 0, kBadInput,
           "{}: first_k_dense_replace = {}: must be at least 0", where, first_k_dense_replace);
  SH_CHECK(num_nextn_predict_layers >= 0 && num_nextn_predict_layers <= 8, kBadInput,
           "{}: num_nextn_predict_layers = {}: 0 to 8 are supported", where,
           num_nextn_predict_layers);
  SH_CHECK(rms_norm_eps > 0 && rms_norm_eps < 1, kBadInput,
           "{}: rms_norm_eps = {}: must lie between 0 and 1", where, rms_norm_eps);
  const auto above = [&](const char* name, double value, double least) {
    SH_CHECK(value > least && std::isfinite(value), kBadInput,
             "{}: {} = {}: must be finite and above {}", where, name, value, least);
  };
  above("rope_theta", rope_theta, 1);
  above("routed_scaling_factor", routed_scaling_factor, 0);
  SH_CHECK(rope_scaling.factor >= 1 && std::isfinite(rope_scaling.factor), kBadInput,
           "{}: rope_scaling.factor = {}: must be finite and at least 1", where,
           rope_scaling.factor);
  above("rope_scaling.original_max_position_embeddings",
        rope_scaling.original_max_position_embeddings, 0);
  above("rope_scaling.beta_fast", rope_scaling.beta_fast, 0);
  above("rope_scaling.beta_slow", rope_scaling.beta_slow, 0);
  for (const double mscale : {rope_scaling.mscale, rope_scaling.mscale_all_dim})
    SH_CHECK(mscale >= 0 && std::isfinite(mscale), kBadInput,
             "{}: rope_scaling: mscale = {}, mscale_all_dim = {}: must be finite and at least 0",
             where, rope_scaling.mscale, rope_scaling.mscale_all_dim);
  SH_CHECK(bos_token_id >= 0 && bos_token_id < vocab_size && eos_token_id >= 0 &&
               eos_token_id < vocab_size,
           kBadInput, "{}: bos_token_id = {} and eos_token_id = {} must lie below vocab_size = {}",
           where, bos_token_id, eos_token_id, vocab_size);
  check_ngram_memory(where, *this);
  if (first_k_dense_replace > 0) positive("intermediate_size", intermediate_size);
  if (first_k_dense_replace >= num_hidden_layers && num_nextn_predict_layers == 0) {
    SH_CHECK(
        routing.method == "topk", kBadInput,
        "{}: routing.method = '{}', but first_k_dense_replace = {} leaves no layer with experts",
        where, routing.method, first_k_dense_replace);
    return;
  }

  positive("n_routed_experts", n_routed_experts);
  positive("num_experts_per_tok", num_experts_per_tok);
  positive("moe_intermediate_size", moe_intermediate_size);
  SH_CHECK(n_shared_experts >= 0 && n_shared_experts <= INT_MAX / moe_intermediate_size, kBadInput,
           "{}: n_shared_experts = {}: must lie between 0 and {}", where, n_shared_experts,
           INT_MAX / moe_intermediate_size);
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
  check_routing(where, *this);
}

std::string ModelConfig::beyond_deepseek() const {
  if (experts_vary()) return fmt::format("routing.method = '{}'", routing.method);
  if (grouped_query.on())
    return fmt::format("num_key_value_heads = {}", grouped_query.num_key_value_heads);
  if (ngram_memory.on()) return fmt::format("ngram_memory.layers = {}", ngram_memory.layers);
  return "";
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
  split_rope_parameters(json, where);
  // V2 has no other, and today's Hugging Face does not write it.
  if (json.value("model_type", Json()) == "deepseek_v2" && !json.contains("scoring_func"))
    json["scoring_func"] = "softmax";
  if (is_llama_form(json)) {
    json = from_llama_form(json, where);
  } else {
    check_rope_scaling(json, where);
    check_fixed(json, where);
  }
  // Hugging Face writes integers for some of our fractions: that is fine.
  ModelConfig config;
  check_ranges(config, json, where);
  fields_from_json(config, json, where, /*strict=*/false);
  config.validate(where);
  check_topk_method(json, config, where);
  return config;
}

std::string write_config(const ModelConfig& config) {
  SH_ASSERT(!config.grouped_query.on());
  Json json = {{"architectures", {"DeepseekV3ForCausalLM"}}, {"model_type", "deepseek_v3"}};
  json.update(fields_to_json(config));
  if (!config.beyond_deepseek().empty()) {
    json["architectures"] = {"ShenhongForCausalLM"};
    json["model_type"] = "shenhong";
  }
  if (!config.experts_vary()) json.erase("routing");
  if (!config.ngram_memory.on()) json.erase("ngram_memory");
  json.erase("grouped_query");
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
