#include "infer/weights.h"

#include <algorithm>

#include "core/error.h"
#include "model/gguf_model.h"
#include "model/weight_files.h"

namespace shenhong {
namespace {

std::string layer_prefix(int layer) { return "model.layers." + std::to_string(layer) + "."; }

// Reads tensors by name, in the shapes that the config asks for.
class Reader {
 public:
  Reader(const ModelConfig& config, const Weights::Source& source) : c_(config), source_(source) {}

  WeightPanels panels(const std::string& name, int rows, int cols) const {
    return WeightPanels(source_(name, rows, cols).view);
  }
  Buffer<float> floats(const std::string& name, int rows, int cols) const {
    const QuantizedBuffer tensor = source_(name, rows, cols);
    Buffer<float> out(int64_t(rows) * cols);
    dequantize(tensor.view, out.data());
    return out;
  }

  AttentionWeights attention(const std::string& prefix) const {
    const int D = c_.hidden_size, Rq = c_.q_lora_rank, R = c_.kv_lora_rank;
    const int H = c_.num_attention_heads, Dq = H * c_.qk_head_dim();
    AttentionWeights a;
    if (Rq == 0) {
      a.q_proj = panels(prefix + "q_proj.weight", Dq, D);
    } else {
      a.q_a_proj = panels(prefix + "q_a_proj.weight", Rq, D);
      a.q_a_layernorm = floats(prefix + "q_a_layernorm.weight", 1, Rq);
      a.q_b_proj = panels(prefix + "q_b_proj.weight", Dq, Rq);
    }
    a.kv_a_proj_with_mqa = panels(prefix + "kv_a_proj_with_mqa.weight", R + c_.qk_rope_head_dim, D);
    a.kv_a_layernorm = floats(prefix + "kv_a_layernorm.weight", 1, R);
    a.o_proj = panels(prefix + "o_proj.weight", D, H * c_.v_head_dim);
    a.heads = heads(prefix + "kv_b_proj.weight", takes_int8(a.o_proj.view().format));
    return a;
  }

  GroupedQueryWeights grouped_query(const std::string& prefix) const {
    const int D = c_.hidden_size, Dh = c_.v_head_dim, Dq = c_.num_attention_heads * Dh;
    const int Dkv = c_.grouped_query.num_key_value_heads * Dh;
    GroupedQueryWeights g;
    g.q_proj = panels(prefix + "q_proj.weight", Dq, D);
    g.k_proj = panels(prefix + "k_proj.weight", Dkv, D);
    g.v_proj = panels(prefix + "v_proj.weight", Dkv, D);
    g.o_proj = panels(prefix + "o_proj.weight", D, Dq);
    if (c_.grouped_query.attention_bias) {
      g.q_bias = floats(prefix + "q_proj.bias", 1, Dq);
      g.k_bias = floats(prefix + "k_proj.bias", 1, Dkv);
      g.v_bias = floats(prefix + "v_proj.bias", 1, Dkv);
    }
    if (c_.grouped_query.output_bias) g.o_bias = floats(prefix + "o_proj.bias", 1, D);
    return g;
  }

  MlpWeights mlp(const std::string& prefix, int F) const {
    const int D = c_.hidden_size;
    return {panels(prefix + "gate_proj.weight", F, D), panels(prefix + "up_proj.weight", F, D),
            panels(prefix + "down_proj.weight", D, F)};
  }

  NgramMemoryWeights memory(int layer) const {
    const int D = c_.hidden_size, M = c_.ngram_memory.width();
    const std::string prefix = layer_prefix(layer) + "ngram_memory.";
    const NgramHash hash(c_, layer);
    return {hash,
            owned(source_(prefix + "embed.weight", hash.total_rows(), c_.ngram_memory.head_dim)),
            panels(prefix + "key_proj.weight", D, M),
            panels(prefix + "value_proj.weight", D, M),
            floats(prefix + "query_norm.weight", 1, D),
            floats(prefix + "key_norm.weight", 1, D)};
  }

  LayerWeights layer(int l, bool is_moe) const {
    const int D = c_.hidden_size;
    const std::string prefix = layer_prefix(l);
    LayerWeights out;
    if (std::ranges::find(c_.ngram_memory.layers, l) != c_.ngram_memory.layers.end())
      out.memory = memory(l);
    out.input_layernorm = floats(prefix + "input_layernorm.weight", 1, D);
    if (c_.grouped_query.on())
      out.grouped_query = grouped_query(prefix + "self_attn.");
    else
      out.self_attn = attention(prefix + "self_attn.");
    out.post_attention_layernorm = floats(prefix + "post_attention_layernorm.weight", 1, D);
    if (!is_moe) {
      out.mlp = mlp(prefix + "mlp.", c_.intermediate_size);
      return out;
    }
    out.moe = moe(prefix + "mlp.");
    out.has_mlp = c_.n_shared_experts > 0;
    if (out.has_mlp)
      out.mlp = mlp(prefix + "mlp.shared_experts.", c_.moe_intermediate_size * c_.n_shared_experts);
    return out;
  }

  MtpWeights mtp(const QuantizedMatrix& head) const {
    const int D = c_.hidden_size, l = c_.num_hidden_layers;
    const std::string prefix = layer_prefix(l);
    MtpWeights m{floats(prefix + "enorm.weight", 1, D),
                 floats(prefix + "hnorm.weight", 1, D),
                 panels(prefix + "eh_proj.weight", D, 2 * D),
                 layer(l, /*is_moe=*/true),
                 floats(prefix + "shared_head.norm.weight", 1, D),
                 {}};
    if (head.format == NumberFormat::kBF16 && fits_blocks(NumberFormat::kInt8, D)) {
      Buffer<float> numbers(int64_t(head.rows) * head.cols);
      dequantize(head, numbers.data());
      m.head = WeightPanels(NumberFormat::kInt8, head.rows, head.cols, numbers.data());
    }
    return m;
  }

  MoeWeights moe(const std::string& prefix) const {
    const int R = c_.router_experts(), D = c_.hidden_size;
    MoeWeights m{{}, Router<float>(c_, prefix + "gate."), {}, {}};
    m.gate = WeightPanels(NumberFormat::kF32, R, D, floats(prefix + "gate.weight", R, D).data());
    m.router.gate = {};
    m.router.bias.value = floats(prefix + "gate.e_score_correction_bias", 1, R);
    for (int e = 0; e < c_.n_routed_experts; ++e)
      m.experts.push_back(
          mlp(prefix + "experts." + std::to_string(e) + ".", c_.moe_intermediate_size));
    return m;
  }

 private:
  // `integers`: whether the layer's other projections are in an integer format.
  std::vector<HeadWeights> heads(const std::string& name, bool integers) const {
    const int R = c_.kv_lora_rank, Dn = c_.qk_nope_head_dim, Dv = c_.v_head_dim;
    const int H = c_.num_attention_heads;
    const QuantizedBuffer kv_b = source_(name, H * (Dn + Dv), R);
    Buffer<float> all(int64_t(H) * (Dn + Dv) * R), turned(int64_t(R) * Dn);
    dequantize(kv_b.view, all.data());
    const bool fits = fits_blocks(NumberFormat::kInt8, R) && fits_blocks(NumberFormat::kInt8, Dn);
    const NumberFormat format = integers && fits                          ? NumberFormat::kInt8
                                : kv_b.view.format == NumberFormat::kBF16 ? NumberFormat::kBF16
                                                                          : NumberFormat::kF32;
    std::vector<HeadWeights> out;
    for (int h = 0; h < H; ++h) {
      const float* w_uk = all.data() + int64_t(h) * (Dn + Dv) * R;
      for (int n = 0; n < Dn; ++n)
        for (int r = 0; r < R; ++r) turned[int64_t(r) * Dn + n] = w_uk[int64_t(n) * R + r];
      out.push_back({WeightPanels(format, Dn, R, w_uk), WeightPanels(format, R, Dn, turned.data()),
                     WeightPanels(format, Dv, R, w_uk + int64_t(Dn) * R)});
    }
    return out;
  }

  const ModelConfig& c_;
  const Weights::Source& source_;
};

// What is never in a format coarser than bf16: gains, the router and its bias, what meets the
// latent cache, and rows of n-grams, which are short.
bool stays_fine(const std::string& name) {
  const auto has = [&](const char* part) { return name.find(part) != name.npos; };
  return has("norm") || has("mlp.gate.") || has("kv_b_proj") || has("ngram_memory.");
}

int64_t bytes_of(const MlpWeights& m) {
  return m.gate_proj.bytes() + m.up_proj.bytes() + m.down_proj.bytes();
}

// A token reads one row of each table, and both projections.
int64_t bytes_of(const NgramMemoryWeights& m, bool decoding) {
  const int64_t table = int64_t(m.embed.numbers.size());
  return m.key_proj.bytes() + m.value_proj.bytes() +
         (decoding ? table / m.hash.total_rows() * m.hash.tables() : table);
}

int64_t bytes_of(const AttentionWeights& a, bool decoding) {
  int64_t sum = a.q_proj.bytes() + a.q_a_proj.bytes() + a.q_b_proj.bytes() +
                a.kv_a_proj_with_mqa.bytes() + a.o_proj.bytes();
  for (const HeadWeights& head : a.heads)
    sum += head.w_uk_t.bytes() + head.w_uv.bytes() + (decoding ? 0 : head.w_uk.bytes());
  return sum;
}

// Whichever the layer has.
int64_t attention_bytes(const LayerWeights& layer, bool decoding) {
  if (!layer.grouped_query) return bytes_of(layer.self_attn, decoding);
  const GroupedQueryWeights& g = *layer.grouped_query;
  return g.q_proj.bytes() + g.k_proj.bytes() + g.v_proj.bytes() + g.o_proj.bytes();
}

int64_t bytes_of(const LayerWeights& layer) {
  int64_t sum = attention_bytes(layer, false) + bytes_of(layer.mlp);
  if (layer.memory) sum += bytes_of(*layer.memory, false);
  if (!layer.moe) return sum;
  sum += layer.moe->gate.bytes();
  for (const MlpWeights& expert : layer.moe->experts) sum += bytes_of(expert);
  return sum;
}

}  // namespace

Weights::Weights(const ModelConfig& config, const Source& source, bool drafts)
    : config_(config), rope_(config) {
  const Reader read(config_, source);
  const int D = config_.hidden_size, V = config_.vocab_size;
  embed_tokens_ = owned(source("model.embed_tokens.weight", V, D));
  for (int l = 0; l < config_.num_hidden_layers; ++l)
    layers.push_back(read.layer(l, config_.is_moe(l)));
  norm = read.floats("model.norm.weight", 1, D);
  const QuantizedBuffer own_head =
      config_.tie_word_embeddings ? QuantizedBuffer{} : source("lm_head.weight", V, D);
  const QuantizedMatrix& stored = config_.tie_word_embeddings ? embed_tokens_.view : own_head.view;
  head = WeightPanels(stored);
  if (drafts && config_.num_nextn_predict_layers > 0) mtp = read.mtp(stored);
}

Weights::Weights(const Model<float>& model, NumberFormat format)
    : Weights(
          model.config(),
          [&](const std::string& name, int rows, int cols) {
            const Parameter<float>* found = nullptr;
            model.for_each_parameter([&](const Parameter<float>& p) {
              if (p.name == name) found = &p;
            });
            SH_ASSERT(found && found->rows == rows && found->cols == cols);
            return quantize(stays_fine(name) ? NumberFormat::kF32 : format, rows, cols, found->w());
          },
          /*drafts=*/true) {}

std::unique_ptr<Weights> load_weights(const fs::path& model, bool drafts) {
  if (is_gguf(model)) {
    const GgufModel file(model);
    return std::make_unique<Weights>(
        file.config(),
        [&](const std::string& name, int rows, int cols) { return file.read(name, rows, cols); },
        drafts);
  }
  SH_CHECK(fs::is_directory(model), kBadInput,
           "{}: no such model directory; want one with config.json and model.safetensors",
           model.string());
  const WeightFiles files(model);
  const ModelConfig config = files.checked_config();
  auto weights = std::make_unique<Weights>(
      config,
      [&](const std::string& name, int rows, int cols) { return files.read(name, rows, cols); },
      drafts);
  files.check_all_read([&](const std::string& name) {
    return is_shared_copy(name) || is_prediction_module(name, config.num_hidden_layers);
  });
  if (const fs::path table = model / kExpertSkippingFile; fs::exists(table))
    weights->skip_experts(expert_skipping_from_json(parse_json(read_file(table), table.string()),
                                                    config, table.string()));
  return weights;
}

void Weights::skip_experts(const ExpertSkipping& table) {
  skipped_ = table.skipped;
  for (size_t l = 0; l < layers.size(); ++l)
    if (layers[l].moe) layers[l].moe->skip_below = table.below[l];
}

void Weights::embed(int token, float* out) const { dequantize_row(embed_tokens_.view, token, out); }

int64_t Weights::bytes() const {
  int64_t sum = head.bytes() + int64_t(embed_tokens_.numbers.size() + embed_tokens_.scales.size());
  for (const LayerWeights& layer : layers) sum += bytes_of(layer);
  if (mtp) sum += mtp->eh_proj.bytes() + bytes_of(mtp->layer) + mtp->head.bytes();
  return sum;
}

int64_t Weights::bytes_per_token() const {
  int64_t sum = head.bytes();
  for (const LayerWeights& layer : layers) {
    sum += attention_bytes(layer, true) + bytes_of(layer.mlp);
    if (layer.memory) sum += bytes_of(*layer.memory, true);
    if (layer.moe)
      sum += layer.moe->gate.bytes() + int64_t(config_.mean_experts() * (1 - skipped_) *
                                               double(bytes_of(layer.moe->experts.front())));
  }
  return sum;
}

}  // namespace shenhong
