#include "infer/decoder.h"

#include <algorithm>

#include "core/error.h"
#include "kernels/matmul.h"
#include "model/rmsnorm.h"

namespace shenhong {

Decoder::Decoder(Model<float>& model)
    : model_(model), attention_(model.config()), feed_forward_(model.config()) {}

std::span<const float> Decoder::forward(std::span<const int> tokens, KvCache& cache, Logits which) {
  const ModelConfig& config = model_.config();
  const int C = int(tokens.size()), D = config.hidden_size, V = config.vocab_size;
  const double eps = config.rms_norm_eps;
  SH_ASSERT(C >= 1 && C <= cache.capacity() - cache.size());
  x_.resize(int64_t(C) * D);
  normed_.resize(int64_t(C) * D);
  for (int c = 0; c < C; ++c) {
    SH_ASSERT(tokens[c] >= 0 && tokens[c] < V);
    std::copy_n(model_.embed_tokens.w() + int64_t(tokens[c]) * D, D, x_.data() + int64_t(c) * D);
  }

  for (int l = 0; l < config.num_hidden_layers; ++l) {
    Block<float>& block = model_.layers[l];
    rmsnorm(x_.data(), block.input_layernorm, normed_.data(), rstd_, C, eps);
    attention_.forward(block.self_attn, model_.rope(), normed_.data(), x_.data(), C, l, cache);
    rmsnorm(x_.data(), block.post_attention_layernorm, normed_.data(), rstd_, C, eps);
    feed_forward_.forward(block, normed_.data(), x_.data(), C);
  }
  cache.extend(C);

  const int rows = which == Logits::kAll ? C : 1;
  rmsnorm(x_.data() + int64_t(C - rows) * D, model_.norm, normed_.data(), rstd_, rows, eps);
  logits_.resize(int64_t(rows) * V);
  matmul_nt(normed_.data(), model_.head().w(), logits_.data(), rows, V, D, Write::kReplace);
  return logits_.span();
}

}  // namespace shenhong
