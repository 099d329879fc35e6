// A model as decoding reads it: every weight in panels of some number format, the attention's
// up-projection taken apart by head. Immutable after loading.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "infer/expert_skipping.h"
#include "kernels/quantized_matrix.h"
#include "model/config.h"
#include "model/model.h"
#include "model/router.h"

namespace shenhong {

// W_UK and W_UV of one head: in int8 where the layer's other projections are in an integer format,
// else bf16 or float as they are stored.
struct HeadWeights {
  WeightPanels w_uk;    // [Dn,Rkv]: keys from latents
  WeightPanels w_uk_t;  // [Rkv,Dn]: the absorbed query from a query
  WeightPanels w_uv;    // [Dv,Rkv]
};

struct AttentionWeights {
  WeightPanels q_proj;              // [H·(Dn+Dr), D], without query compression
  WeightPanels q_a_proj, q_b_proj;  // [Rq,D] [H·(Dn+Dr), Rq], with it
  Buffer<float> q_a_layernorm;      // [Rq]
  WeightPanels kv_a_proj_with_mqa;  // [Rkv+Dr, D]
  Buffer<float> kv_a_layernorm;     // [Rkv]
  std::vector<HeadWeights> heads;   // H
  WeightPanels o_proj;              // [D, H·Dv]
};

// In the place of the latent attention. A bias that the model does not have is empty.
struct GroupedQueryWeights {
  WeightPanels q_proj, k_proj, v_proj;   // [H·Dh, D] [G·Dh, D] [G·Dh, D]
  WeightPanels o_proj;                   // [D, H·Dh]
  Buffer<float> q_bias, k_bias, v_bias;  // [H·Dh] [G·Dh] [G·Dh]
  Buffer<float> o_bias;                  // [D]
};

struct MlpWeights {
  WeightPanels gate_proj, up_proj;  // [F,D]
  WeightPanels down_proj;           // [D,F]
};

struct MoeWeights {
  WeightPanels gate;     // [E,D], float
  Router<float> router;  // bias and rule; its own gate is not used
  std::vector<MlpWeights> experts;
  std::vector<float> skip_below;  // infer/expert_skipping; empty: every choice is read
};

struct NgramMemoryWeights {
  NgramHash hash;
  QuantizedBuffer embed;               // [rows, head_dim]
  WeightPanels key_proj, value_proj;   // [D,M]
  Buffer<float> query_norm, key_norm;  // [D]
};

struct LayerWeights {
  std::optional<NgramMemoryWeights> memory;
  Buffer<float> input_layernorm, post_attention_layernorm;  // [D]
  AttentionWeights self_attn;
  std::optional<GroupedQueryWeights> grouped_query;  // then self_attn is empty
  std::optional<MoeWeights> moe;
  MlpWeights mlp;  // the dense layer's, or the shared experts' side by side
  bool has_mlp = true;
};

// The first multi-token-prediction module (model/mtp), for drafts.
struct MtpWeights {
  Buffer<float> enorm, hnorm;  // [D]
  WeightPanels eh_proj;        // [D,2D]
  LayerWeights layer;
  Buffer<float> norm;  // [D]
  // [V,D]: the model's, in int8 where that is in bf16. A draft may be wrong, so it reads half
  // of the bytes. Empty: the model's head as it is.
  WeightPanels head;
};

class Weights {
 public:
  // Gives a tensor of the checkpoint, [rows, cols], in the number format that it is kept in.
  using Source = std::function<QuantizedBuffer(const std::string& name, int rows, int cols)>;
  // `drafts`: with the module for them, if the config has one.
  Weights(const ModelConfig& config, const Source& source, bool drafts = false);
  // From a model in memory, all in `format`, but for what is always float; with its module.
  Weights(const Model<float>& model, NumberFormat format);

  const ModelConfig& config() const { return config_; }
  const Rope<float>& rope() const { return rope_; }
  // The embedding of one token into out [D].
  void embed(int token, float* out) const;

  std::vector<LayerWeights> layers;
  Buffer<float> norm;  // [D]
  WeightPanels head;   // [V,D]
  std::optional<MtpWeights> mtp;

  void skip_experts(const ExpertSkipping& table);

  int64_t bytes() const;            // in memory
  int64_t bytes_per_token() const;  // that one decoded token reads on average, without drafts
 private:
  ModelConfig config_;
  Rope<float> rope_;
  QuantizedBuffer embed_tokens_;
  double skipped_ = 0;  // of the choices of experts
};

// Those of a model directory or of a GGUF file, each in the number format that it is stored in.
// A directory's table of experts to skip is in force.
// Tensors of multi-token-prediction modules are passed over, but for what `drafts` want. Errors as
// in model/weight_files and model/gguf_model.
std::unique_ptr<Weights> load_weights(const fs::path& model, bool drafts = false);

}  // namespace shenhong
