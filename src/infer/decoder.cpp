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

std::span<const float> Decoder::forward(std::span<const Segment> segments) {
  const ModelConfig& config = weights_.config();
  const int D = config.hidden_size, V = config.vocab_size;
  int C = 0, rows = 0;
  for (const Segment& s : segments) {
    SH_ASSERT(s.count >= 1 && s.count <= s.sequence->pending());
    SH_ASSERT(s.logits >= 0 && s.logits <= s.count);
    C += s.count;
    rows += s.logits;
  }
  x_.resize(int64_t(C) * D);
  normed_.resize(int64_t(C) * D);
  float* x = x_.data();
  for (const Segment& s : segments) {
    for (int i = 0; i < s.count; ++i, x += D) {
      const int token = s.sequence->tokens()[size_t(s.sequence->read() + i)];
      SH_ASSERT(token >= 0 && token < V);
      weights_.embed(token, x);
    }
  }

  for (int l = 0; l < config.num_hidden_layers; ++l) {
    const LayerWeights& layer = weights_.layers[size_t(l)];
    if (layer.memory) {
      float* stream = x_.data();  // rows of one segment
      for (const Segment& s : segments) {
        const std::span<const int> tokens = s.sequence->tokens();
        ngram_lookup_.forward(*layer.memory, tokens.first(size_t(s.sequence->read() + s.count)),
                              stream, s.count);
        stream += int64_t(s.count) * D;
      }
    }
    norm(x_.data(), layer.input_layernorm, normed_.data(), C);
    attention_.forward(layer.self_attn, weights_.rope(), normed_.data(), x_.data(), segments, l);
    norm(x_.data(), layer.post_attention_layernorm, normed_.data(), C);
    feed_forward_.forward(layer, normed_.data(), x_.data(), C);
  }

  const float* end = x_.data();
  float* wanted = normed_.data();
  for (const Segment& s : segments) {
    end += int64_t(s.count) * D;
    if (s.logits > 0) norm(end - int64_t(s.logits) * D, weights_.norm, wanted, s.logits);
    wanted += int64_t(s.logits) * D;
    s.sequence->advance(s.count);
  }
  logits_.resize(int64_t(rows) * V);
  if (rows == 0) return logits_.span();
  head_in_.set(normed_.data(), rows, D);
  const PanelProduct logits = head_in_.times(weights_.head, logits_.data(), Write::kReplace);
  run_products({&logits, 1});
  return logits_.span();
}

std::span<const float> Decoder::forward(Sequence& sequence, int count, int logits) {
  const bool fits = sequence.reserve(count);
  SH_ASSERT(fits);
  const Segment segment{&sequence, count, logits};
  return forward({&segment, 1});
}

}  // namespace shenhong
