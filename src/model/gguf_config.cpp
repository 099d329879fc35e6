#include "model/gguf_config.h"

#include <algorithm>
#include <climits>

#include "core/quoted.h"

namespace shenhong {
namespace {

constexpr const char* kArchitecture = "deepseek2";
constexpr const char *kLlama = "llama", *kQwen2 = "qwen2";
constexpr int kSoftmax = 1, kSigmoid = 2;  // expert_gating_func
// yarn_log_multiplier is this times mscale_all_dim.
constexpr double kLogMultiplier = 0.1;
// The names of all experts are held at once. Each has three matrices, of one float or of one block
// at the least.
constexpr int64_t kLeastExpertBytes = 12;

class Reader {
 public:
  explicit Reader(const Gguf& file)
      : file_(file),
        path_(file.path().string()),
        architecture_(file.string("general.architecture")) {}

  ModelConfig read() const {
    SH_CHECK(architecture_ == kArchitecture || architecture_ == kLlama || architecture_ == kQwen2,
             kBadInput, "{}: general.architecture = {}: supported are '{}', '{}' and '{}'", path_,
             in_quotes(architecture_), kArchitecture, kLlama, kQwen2);
    ModelConfig c;
    c.hidden_size = integer("embedding_length");
    c.max_position_embeddings = integer("context_length");
    c.rms_norm_eps = number("attention.layer_norm_rms_epsilon");
    c.vocab_size = vocabulary();
    c.tie_word_embeddings = !file_.find("output.weight");
    layers(c);
    if (architecture_ == kArchitecture) {
      attention(c);
      experts(c);
    } else {
      grouped_query(c);
    }
    c.bos_token_id = integer_of("tokenizer.ggml.bos_token_id", c.bos_token_id);
    c.eos_token_id = integer_of("tokenizer.ggml.eos_token_id", c.eos_token_id);
    c.validate(path_);
    return c;
  }

 private:
  std::string key(const std::string& name) const { return architecture_ + "." + name; }

  int integer_of(const std::string& full) const {
    const int64_t value = file_.integer(full);
    SH_CHECK(value >= 0 && value <= INT_MAX, kBadInput, "{}: {} = {}: want 0 to {}", path_, full,
             value, INT_MAX);
    return int(value);
  }
  int integer_of(const std::string& full, int otherwise) const {
    return file_.has(full) ? integer_of(full) : otherwise;
  }
  int integer(const char* name) const { return integer_of(key(name)); }
  int integer(const char* name, int otherwise) const { return integer_of(key(name), otherwise); }
  double number(const char* name) const { return file_.decimal(key(name)); }
  double number(const char* name, double otherwise) const {
    return file_.has(key(name)) ? number(name) : otherwise;
  }

  int vocabulary() const {
    if (file_.has(key("vocab_size"))) return integer("vocab_size");
    return int(file_.strings("tokenizer.ggml.tokens").size());
  }

  void layers(ModelConfig& c) const {
    const int modules = integer("nextn_predict_layers", 0), all = integer("block_count");
    c.num_hidden_layers = all - modules;
    c.first_k_dense_replace = integer("leading_dense_block_count", 0);
    c.intermediate_size = integer("feed_forward_length", c.intermediate_size);
    SH_CHECK(all <= int(file_.tensors().size()), kBadInput,
             "{}: {} = {}, but the file holds {} tensors", path_, key("block_count"), all,
             file_.tensors().size());
    const std::string probe = fmt::format("blk.{}.nextn.eh_proj.weight", c.num_hidden_layers);
    c.num_nextn_predict_layers = file_.find(probe) ? modules : 0;
  }

  void attention(ModelConfig& c) const {
    const bool absorbed = file_.has(key("attention.key_length_mla"));
    c.num_attention_heads = integer("attention.head_count");
    c.q_lora_rank = integer("attention.q_lora_rank", 0);
    c.kv_lora_rank = integer("attention.kv_lora_rank");
    c.qk_rope_head_dim = integer("rope.dimension_count");
    c.qk_nope_head_dim = integer(absorbed ? "attention.key_length_mla" : "attention.key_length") -
                         c.qk_rope_head_dim;
    c.v_head_dim = integer(absorbed ? "attention.value_length_mla" : "attention.value_length");
    c.rope_theta = number("rope.freq_base", c.rope_theta);
    scaling(c.rope_scaling);
  }

  void grouped_query(ModelConfig& c) const {
    for (const char* name : {"expert_count", "nextn_predict_layers"})
      SH_CHECK(integer(name, 0) == 0, kBadInput,
               "{}: {} = {}: of this architecture only dense models are supported", path_,
               key(name), integer(name));
    c.num_attention_heads = integer("attention.head_count");
    GroupedQueryConfig& g = c.grouped_query;
    g.num_key_value_heads = integer("attention.head_count_kv", c.num_attention_heads);
    SH_CHECK(c.num_attention_heads > 0 && g.num_key_value_heads > 0, kBadInput,
             "{}: {} = {} and {} = {}: must be at least 1", path_, key("attention.head_count"),
             c.num_attention_heads, key("attention.head_count_kv"), g.num_key_value_heads);
    SH_CHECK(file_.has(key("attention.key_length")) || c.hidden_size % c.num_attention_heads == 0,
             kBadInput, "{}: {} = {} is no multiple of {} = {}, and there is no {}", path_,
             key("embedding_length"), c.hidden_size, key("attention.head_count"),
             c.num_attention_heads, key("attention.key_length"));
    const int head_dim = integer("attention.key_length", c.hidden_size / c.num_attention_heads);
    for (const char* name : {"attention.value_length", "rope.dimension_count"})
      SH_CHECK(integer(name, head_dim) == head_dim, kBadInput,
               "{}: {} = {}: only the length of a key's head, {}, is supported", path_, key(name),
               integer(name), head_dim);
    c.qk_rope_head_dim = c.v_head_dim = head_dim;
    c.qk_nope_head_dim = c.q_lora_rank = c.kv_lora_rank = 0;
    c.rope_theta = number("rope.freq_base", c.rope_theta);
    c.first_k_dense_replace = c.num_hidden_layers;
    const std::string type_key = key("rope.scaling.type");
    SH_CHECK(!file_.has(type_key) || file_.string(type_key) == "none", kBadInput,
             "{}: {} = {}: only 'none' is supported", path_, type_key,
             in_quotes(file_.string(type_key)));
    // The converter of llama's files turns their rows so that rotary pairs are neighbours.
    g.rope_interleave = architecture_ == kLlama;
    g.attention_bias = file_.find("blk.0.attn_q.bias") != nullptr;
    g.output_bias = file_.find("blk.0.attn_output.bias") != nullptr;
    if (const GgufTensor* divisors = file_.find(kRopeDivisors)) {
      SH_CHECK(divisors->elements() == head_dim / 2, kBadInput,
               "{}: '{}' has {} elements; heads of {} ask for {}", path_, kRopeDivisors,
               divisors->elements(), head_dim, head_dim / 2);
      std::vector<float> values(size_t(head_dim / 2));
      read_floats(*divisors, kRopeDivisors, values);
      g.rope_divisors.assign(values.begin(), values.end());
    }
  }

  void scaling(RopeScaling& yarn) const {
    const std::string type_key = key("rope.scaling.type");
    const std::string_view type = file_.has(type_key) ? file_.string(type_key) : "none";
    if (type == "none") return;
    SH_CHECK(type == "yarn", kBadInput, "{}: {} = {}: only 'yarn' and 'none' are supported", path_,
             type_key, in_quotes(type));
    yarn.factor = number("rope.scaling.factor");
    yarn.original_max_position_embeddings = integer("rope.scaling.original_context_length");
    yarn.beta_fast = number("rope.scaling.yarn_beta_fast", yarn.beta_fast);
    yarn.beta_slow = number("rope.scaling.yarn_beta_slow", yarn.beta_slow);
    yarn.mscale_all_dim =
        shortest_decimal(float(number("rope.scaling.yarn_log_multiplier") / kLogMultiplier));
    yarn.mscale = yarn.mscale_all_dim;
  }

  void experts(ModelConfig& c) const {
    if (c.first_k_dense_replace >= c.num_hidden_layers && !file_.has(key("expert_count"))) return;
    c.n_routed_experts = integer("expert_count");
    int64_t bytes = 0;
    for (const auto& [name, tensor] : file_.tensors()) bytes += int64_t(tensor.bytes.size());
    const int64_t layers = c.num_hidden_layers -
                           std::min(c.first_k_dense_replace, c.num_hidden_layers) +
                           c.num_nextn_predict_layers;
    SH_CHECK(layers * c.n_routed_experts <= bytes / kLeastExpertBytes, kBadInput,
             "{}: {} = {} in {} layers, but the file holds {} bytes of tensors", path_,
             key("expert_count"), c.n_routed_experts, layers, bytes);
    c.num_experts_per_tok = integer("expert_used_count");
    c.n_shared_experts = integer("expert_shared_count", 0);
    c.moe_intermediate_size = integer("expert_feed_forward_length");
    c.n_group = integer("expert_group_count", 1);
    c.topk_group = integer("expert_group_used_count", c.n_group);
    c.norm_topk_prob =
        file_.has(key("expert_weights_norm")) && file_.boolean(key("expert_weights_norm"));
    const double scale = number("expert_weights_scale", 0);
    c.routed_scaling_factor = scale == 0 ? 1 : scale;
    // Files older than the key are of models with softmax.
    const int gating = integer("expert_gating_func", kSoftmax);
    SH_CHECK(gating == kSoftmax || gating == kSigmoid, kBadInput,
             "{}: {} = {}: known are {} (softmax) and {} (sigmoid)", path_,
             key("expert_gating_func"), gating, kSoftmax, kSigmoid);
    c.scoring_func = gating == kSigmoid ? "sigmoid" : "softmax";
  }

  const Gguf& file_;
  std::string path_, architecture_;
};

}  // namespace

ModelConfig read_gguf_config(const Gguf& file) { return Reader(file).read(); }

GgufMetadata gguf_config_metadata(const ModelConfig& c) {
  SH_CHECK(
      c.beyond_deepseek().empty(), kUsage,
      "{}: architecture '{}' in GGUF has nothing like it, and a program that passed it over would "
      "compute another model; this one runs from its model directory alone",
      c.beyond_deepseek(), kArchitecture);
  GgufMetadata out;
  const auto key = [](const char* name) { return fmt::format("{}.{}", kArchitecture, name); };
  const auto integer = [&](const char* name, int value) {
    out.emplace_back(key(name), uint32_t(value));
  };
  const auto number = [&](const char* name, double value) {
    out.emplace_back(key(name), float(value));
  };
  out.emplace_back("general.architecture", std::string(kArchitecture));
  integer("vocab_size", c.vocab_size);
  integer("context_length", c.max_position_embeddings);
  integer("embedding_length", c.hidden_size);
  integer("block_count", c.num_hidden_layers + c.num_nextn_predict_layers);
  if (c.num_nextn_predict_layers > 0) integer("nextn_predict_layers", c.num_nextn_predict_layers);
  integer("feed_forward_length", c.intermediate_size);
  integer("leading_dense_block_count", c.first_k_dense_replace);
  number("attention.layer_norm_rms_epsilon", c.rms_norm_eps);

  // One head of keys and values as the cache holds them, and the lengths of the real heads.
  integer("attention.head_count", c.num_attention_heads);
  integer("attention.head_count_kv", 1);
  integer("attention.key_length", c.kv_lora_rank + c.qk_rope_head_dim);
  integer("attention.value_length", c.kv_lora_rank);
  integer("attention.key_length_mla", c.qk_head_dim());
  integer("attention.value_length_mla", c.v_head_dim);
  // llama.cpp asks for this one even where it is 0.
  integer("attention.q_lora_rank", c.q_lora_rank);
  integer("attention.kv_lora_rank", c.kv_lora_rank);
  integer("rope.dimension_count", c.qk_rope_head_dim);
  number("rope.freq_base", c.rope_theta);
  if (c.rope_scaling.factor != 1) {
    const RopeScaling& yarn = c.rope_scaling;
    SH_CHECK(yarn.mscale == yarn.mscale_all_dim, kBadInput,
             "rope_scaling: mscale = {} is not mscale_all_dim = {}; GGUF has no key for that",
             yarn.mscale, yarn.mscale_all_dim);
    out.emplace_back(key("rope.scaling.type"), std::string("yarn"));
    number("rope.scaling.factor", yarn.factor);
    integer("rope.scaling.original_context_length", int(yarn.original_max_position_embeddings));
    number("rope.scaling.yarn_beta_fast", yarn.beta_fast);
    number("rope.scaling.yarn_beta_slow", yarn.beta_slow);
    number("rope.scaling.yarn_log_multiplier", kLogMultiplier * yarn.mscale_all_dim);
  }

  integer("expert_count", c.n_routed_experts);
  integer("expert_used_count", c.num_experts_per_tok);
  integer("expert_shared_count", c.n_shared_experts);
  integer("expert_feed_forward_length", c.moe_intermediate_size);
  integer("expert_gating_func", c.scoring_func == "sigmoid" ? kSigmoid : kSoftmax);
  number("expert_weights_scale", c.routed_scaling_factor);
  out.emplace_back(key("expert_weights_norm"), c.norm_topk_prob);
  // Groups that all take part are no groups, and llama.cpp refuses them.
  if (c.topk_group < c.n_group) {
    integer("expert_group_count", c.n_group);
    integer("expert_group_used_count", c.topk_group);
  }
  return out;
}

}  // namespace shenhong
