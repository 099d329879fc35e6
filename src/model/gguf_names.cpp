#include "model/gguf_names.h"

#include <fmt/format.h>

#include <string_view>

namespace shenhong {
namespace {

constexpr std::string_view kUndivided = "attn_kv_b";

class Places {
 public:
  explicit Places(const ModelConfig& config) : c_(config) {}

  std::vector<GgufPlace> all() {
    const int D = c_.hidden_size, V = c_.vocab_size;
    const int trunk = c_.num_hidden_layers, layers = trunk + c_.num_nextn_predict_layers;
    matrix("token_embd.weight", "model.embed_tokens.weight", V, D);
    for (int l = 0; l < layers; ++l) layer(l, l >= trunk);
    vector("output_norm.weight", "model.norm.weight", D);
    if (!c_.tie_word_embeddings) matrix("output.weight", "lm_head.weight", V, D);
    return std::move(places_);
  }

 private:
  void matrix(std::string gguf, std::string name, int rows, int cols) {
    places_.push_back({std::move(gguf), {std::move(name)}, rows, cols, false, false});
  }
  void vector(std::string gguf, std::string name, int cols) {
    places_.push_back({std::move(gguf), {std::move(name)}, 1, cols, true, false});
  }

  void layer(int l, bool is_prediction_module) {
    const std::string to = fmt::format("blk.{}.", l), from = fmt::format("model.layers.{}.", l);
    const int D = c_.hidden_size;
    vector(to + "attn_norm.weight", from + "input_layernorm.weight", D);
    attention(to, from + "self_attn.");
    vector(to + "ffn_norm.weight", from + "post_attention_layernorm.weight", D);
    if (!is_prediction_module && !c_.is_moe(l)) {
      mlp(to, "", from + "mlp.", c_.intermediate_size);
    } else {
      moe(to, from + "mlp.");
    }
    if (!is_prediction_module) return;
    vector(to + "nextn.enorm.weight", from + "enorm.weight", D);
    vector(to + "nextn.hnorm.weight", from + "hnorm.weight", D);
    matrix(to + "nextn.eh_proj.weight", from + "eh_proj.weight", D, 2 * D);
    vector(to + "nextn.shared_head_norm.weight", from + "shared_head.norm.weight", D);
  }

  void grouped_query(const std::string& to, const std::string& from) {
    const int D = c_.hidden_size, Dh = c_.v_head_dim, Dq = c_.num_attention_heads * Dh;
    const int Dkv = c_.grouped_query.num_key_value_heads * Dh;
    const auto put = [&](const char* gguf, const char* name, int rows, int cols, bool bias) {
      matrix(fmt::format("{}{}.weight", to, gguf), fmt::format("{}{}.weight", from, name), rows,
             cols);
      if (bias)
        vector(fmt::format("{}{}.bias", to, gguf), fmt::format("{}{}.bias", from, name), rows);
    };
    const bool bias = c_.grouped_query.attention_bias;
    put("attn_q", "q_proj", Dq, D, bias);
    put("attn_k", "k_proj", Dkv, D, bias);
    put("attn_v", "v_proj", Dkv, D, bias);
    put("attn_output", "o_proj", D, Dq, c_.grouped_query.output_bias);
  }

  void attention(const std::string& to, const std::string& from) {
    if (c_.grouped_query.on()) return grouped_query(to, from);
    const int D = c_.hidden_size, Rq = c_.q_lora_rank, Rkv = c_.kv_lora_rank;
    const int H = c_.num_attention_heads, Dq = H * c_.qk_head_dim();
    if (Rq == 0) {
      matrix(to + "attn_q.weight", from + "q_proj.weight", Dq, D);
    } else {
      matrix(to + "attn_q_a.weight", from + "q_a_proj.weight", Rq, D);
      vector(to + "attn_q_a_norm.weight", from + "q_a_layernorm.weight", Rq);
      matrix(to + "attn_q_b.weight", from + "q_b_proj.weight", Dq, Rq);
    }
    matrix(to + "attn_kv_a_mqa.weight", from + "kv_a_proj_with_mqa.weight",
           Rkv + c_.qk_rope_head_dim, D);
    vector(to + "attn_kv_a_norm.weight", from + "kv_a_layernorm.weight", Rkv);
    matrix(fmt::format("{}{}.weight", to, kUndivided), from + "kv_b_proj.weight",
           H * (c_.qk_nope_head_dim + c_.v_head_dim), Rkv);
    matrix(to + "attn_output.weight", from + "o_proj.weight", D, H * c_.v_head_dim);
  }

  void mlp(const std::string& to, const char* suffix, const std::string& from, int F) {
    const int D = c_.hidden_size;
    matrix(fmt::format("{}ffn_gate{}.weight", to, suffix), from + "gate_proj.weight", F, D);
    matrix(fmt::format("{}ffn_up{}.weight", to, suffix), from + "up_proj.weight", F, D);
    matrix(fmt::format("{}ffn_down{}.weight", to, suffix), from + "down_proj.weight", D, F);
  }

  void moe(const std::string& to, const std::string& from) {
    const int D = c_.hidden_size, E = c_.n_routed_experts, F = c_.moe_intermediate_size;
    matrix(to + "ffn_gate_inp.weight", from + "gate.weight", c_.router_experts(), D);
    vector(to + "exp_probs_b.bias", from + "gate.e_score_correction_bias", c_.router_experts());
    const auto stack = [&](const char* gguf, const char* name, int rows, int cols) {
      GgufPlace place{to + gguf, {}, rows, cols, false, true};
      for (int e = 0; e < E; ++e)
        place.names.push_back(fmt::format("{}experts.{}.{}.weight", from, e, name));
      places_.push_back(std::move(place));
    };
    stack("ffn_gate_exps.weight", "gate_proj", F, D);
    stack("ffn_up_exps.weight", "up_proj", F, D);
    stack("ffn_down_exps.weight", "down_proj", D, F);
    if (c_.n_shared_experts > 0)
      mlp(to, "_shexp", from + "shared_experts.", F * c_.n_shared_experts);
  }

  const ModelConfig& c_;
  std::vector<GgufPlace> places_;
};

}  // namespace

std::vector<int64_t> GgufPlace::shape() const {
  if (is_vector) return {cols};
  if (is_stack) return {int64_t(names.size()), rows, cols};
  return {rows, cols};
}

std::vector<GgufPlace> gguf_places(const ModelConfig& config) { return Places(config).all(); }

std::string absorbed_name(const std::string& kv_b, const char* part) {
  std::string name = kv_b;
  return name.replace(name.find(kUndivided), kUndivided.size(), part);
}

}  // namespace shenhong
