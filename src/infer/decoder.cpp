#include "infer/decoder.h"

#include "core/error.h"
#include "core/parallel.h"
#include "kernels/kernels.h"

namespace shenhong {
namespace {

constexpr int kNormRows = 16;  // per work item

}  // namespace

Decoder::Decoder(const Weights& weights)
    : weights_(weights),
      attention_(weights.config()),
      feed_forward_(weights.config()),
      ngram_lookup_(weights.config()) {}

void Decoder::norm(const float* x, const Buffer<float>& gain, float* y, int C) {
  const int64_t D = gain.size();
  const float eps = float(weights_.config().rms_norm_eps);
  rstd_.resize(C);
  const auto run = [&](int64_t begin, int64_t end) {
    kernels<float>().rmsnorm(x + begin * D, gain.data(), y + begin * D, rstd_.data() + begin,
                             int(end - begin), int(D), eps);
  };
  if (C <= kNormRows) return run(0, C);
  parallel_ranges(C, kNormRows, run);
}

std::span<const float> Decoder::forward(std::span<const int> tokens, KvCache& cache, Logits which) {
  const ModelConfig& config = weights_.config();
  const int C = int(tokens.size()), D = config.hidden_size, V = config.vocab_size;
  SH_ASSERT(C >= 1 && C <= cache.capacity() - cache.size());
  x_.resize(int64_t(C) * D);
  normed_.resize(int64_t(C) * D);
  for (int c = 0; c < C; ++c) {
    SH_ASSERT(tokens[c] >= 0 && tokens[c] < V);
    weights_.embed(tokens[c], x_.data() + int64_t(c) * D);
  }

  if (config.ngram_memory.on()) cache.remember(tokens);
  for (int l = 0; l < config.num_hidden_layers; ++l) {
    const LayerWeights& layer = weights_.layers[size_t(l)];
    if (layer.memory) ngram_lookup_.forward(*layer.memory, cache.tokens(), x_.data(), C);
    norm(x_.data(), layer.input_layernorm, normed_.data(), C);
    attention_.forward(layer.self_attn, weights_.rope(), normed_.data(), x_.data(), C, l, cache);
    norm(x_.data(), layer.post_attention_layernorm, normed_.data(), C);
    feed_forward_.forward(layer, normed_.data(), x_.data(), C);
  }
  cache.extend(C);

  const int rows = which == Logits::kAll ? C : 1;
  norm(x_.data() + int64_t(C - rows) * D, weights_.norm, normed_.data(), rows);
  logits_.resize(int64_t(rows) * V);
  head_in_.set(normed_.data(), rows, D);
  const PanelProduct logits = head_in_.times(weights_.head, logits_.data(), Write::kReplace);
  run_products({&logits, 1});
  return logits_.span();
}

}  // namespace shenhong
