#include "model/llama_config.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <numbers>
#include <utility>

#include "core/error.h"

namespace shenhong {
namespace {

constexpr int kMostHeadDim = 1 << 12;  // a list is made of its frequencies

class Reader {
 public:
  Reader(const Json& config, const std::string& where) : c_(config), where_(where) {}

  Json read() const {
    const bool qwen2 = c_["model_type"] == "qwen2";
    fixed("hidden_act", "silu");
    fixed("mlp_bias", false);
    if (qwen2) fixed("use_sliding_window", false);
    const int heads = size("num_attention_heads"), width = size("hidden_size");
    SH_CHECK(c_.contains("head_dim") || width % heads == 0, kBadInput,
             "{}: hidden_size = {} is no multiple of num_attention_heads = {}, and there is no "
             "head_dim",
             where_, width, heads);
    const int head_dim = size("head_dim", width / heads);
    SH_CHECK(head_dim <= kMostHeadDim, kBadInput, "{}: head_dim = {}: at most {} is supported",
             where_, head_dim, kMostHeadDim);
    const bool bias = !qwen2 && boolean("attention_bias");

    Json out = Json::object();
    for (const char* key :
         {"vocab_size", "hidden_size", "num_hidden_layers", "rms_norm_eps",
          "max_position_embeddings", "initializer_range", "tie_word_embeddings",
          "num_attention_heads", "intermediate_size", "rope_theta", "bos_token_id", "eos_token_id"})
      if (const auto found = c_.find(key); found != c_.end()) out[key] = *found;
    // Several end tokens stand in generation_config.json, too.
    if (const auto ends = out.find("eos_token_id"); ends != out.end() && ends->is_array()) {
      SH_CHECK(!ends->empty(), kBadInput, "{}: eos_token_id = []: want an id", where_);
      out["eos_token_id"] = Json((*ends)[0]);
    }
    out["kv_lora_rank"] = 0;
    out["q_lora_rank"] = 0;
    out["qk_nope_head_dim"] = 0;
    out["qk_rope_head_dim"] = head_dim;
    out["v_head_dim"] = head_dim;
    out["first_k_dense_replace"] = size("num_hidden_layers");
    out["grouped_query"] = {{"num_key_value_heads", size("num_key_value_heads", heads)},
                            {"rope_interleave", false},
                            {"attention_bias", qwen2 || bias},
                            {"output_bias", bias},
                            {"rope_divisors", divisors(out, head_dim)}};
    return out;
  }

 private:
  void fixed(const char* key, const Json& wanted) const {
    const auto found = c_.find(key);
    SH_CHECK(found == c_.end() || *found == wanted, kBadInput, "{}: {} = {}: only {} is supported",
             where_, key, dump_json(*found), dump_json(wanted));
  }
  bool boolean(const char* key) const {
    const auto found = c_.find(key);
    SH_CHECK(found == c_.end() || found->is_boolean(), kBadInput, "{}: {} = {}: want true or false",
             where_, key, dump_json(*found));
    return found != c_.end() && found->get<bool>();
  }
  int size(const char* key) const {
    const auto found = c_.find(key);
    SH_CHECK(found != c_.end(), kBadInput, "{}: has no {}", where_, key);
    SH_CHECK(found->is_number_integer() && *found >= 1 && *found <= INT_MAX, kBadInput,
             "{}: {} = {}: no such size", where_, key, dump_json(*found));
    return found->get<int>();
  }
  int size(const char* key, int otherwise) const {
    return c_.contains(key) ? size(key) : otherwise;
  }
  static double positive(const Json& of, const char* key, const std::string& where) {
    const auto found = of.find(key);
    SH_CHECK(found != of.end() && found->is_number() && found->get<double>() > 0, kBadInput,
             "{}: rope_scaling.{} = {}: want a number above 0", where, key,
             found == of.end() ? "nothing" : dump_json(*found));
    return found->get<double>();
  }

  // Llama 3's: frequencies whose waves are long against the context before the extension are
  // divided by `factor`, short ones are kept, between them a straight line leads from one to the
  // other (Llama 3.1's model code).
  Json divisors(const Json& out, int head_dim) const {
    const auto found = c_.find("rope_scaling");
    Json none = Json::array();
    if (found == c_.end()) return none;
    SH_CHECK(found->is_object(), kBadInput, "{}: rope_scaling = {}: want an object", where_,
             dump_json(*found));
    Json type = "default";
    for (const char* key : {"type", "rope_type"})
      if (found->contains(key)) type = (*found)[key];
    if (type == "default") return none;
    SH_CHECK(type == "llama3", kBadInput,
             "{}: rope_scaling: type {}: only llama3 and default are supported in this form",
             where_, dump_json(type));
    const double factor = positive(*found, "factor", where_),
                 low = positive(*found, "low_freq_factor", where_),
                 high = positive(*found, "high_freq_factor", where_),
                 before = positive(*found, "original_max_position_embeddings", where_);
    SH_CHECK(high > low, kBadInput,
             "{}: rope_scaling: high_freq_factor = {} must be above low_freq_factor = {}", where_,
             high, low);
    const Json theta = out.value("rope_theta", Json(10000.0));
    SH_CHECK(theta.is_number(), kBadInput, "{}: rope_theta = {}: want a number", where_,
             dump_json(theta));
    Json list = Json::array();
    for (int i = 0; i < head_dim / 2; ++i) {
      const double frequency = std::pow(theta.get<double>(), -2.0 * i / head_dim);
      const double turns = before * frequency / (2 * std::numbers::pi);
      const double kept = std::clamp((turns - low) / (high - low), 0.0, 1.0);
      list.push_back(1 / ((1 - kept) / factor + kept));
    }
    return list;
  }

  const Json& c_;
  const std::string& where_;
};

}  // namespace

bool is_llama_form(const Json& config) {
  const auto type = config.find("model_type");
  return type != config.end() && (*type == "llama" || *type == "qwen2");
}

Json from_llama_form(const Json& config, const std::string& where) {
  return Reader(config, where).read();
}

}  // namespace shenhong
