// Which tensors of a GGUF hold which of a checkpoint's: deepseek2's DeepSeek-V3's, those of llama
// and its kin Llama's.
#pragma once

#include <string>
#include <vector>

#include "model/config.h"

namespace shenhong {

struct GgufPlace {
  std::string gguf;                // e.g. blk.3.ffn_up_exps.weight
  std::vector<std::string> names;  // the checkpoint's: one, or every expert's, stacked in order
  int rows, cols;                  // of each
  bool is_vector, is_stack;        // a vector is [cols], a stack [names, rows, cols]

  std::vector<int64_t> shape() const;  // of the whole, slowest first
};

// All tensors of a model, multi-token-prediction modules included, in the order of a file. The
// attention's up-projection stands in its undivided form, attn_kv_b [H·(Dn+Dv), Rkv]; files of the
// absorbed form hold attn_k_b [H, Rkv, Dn], turned for each head, and attn_v_b [H, Dv, Rkv].
std::vector<GgufPlace> gguf_places(const ModelConfig& config);

// "blk.3.attn_kv_b.weight" -> "blk.3.attn_k_b.weight"; `part` is "attn_k_b" or "attn_v_b".
std::string absorbed_name(const std::string& kv_b, const char* part);

}  // namespace shenhong
