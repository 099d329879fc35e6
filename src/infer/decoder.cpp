#include "infer/decoder.h"

#include <algorithm>

#include "core/error.h"
#include "infer/norm_rows.h"

namespace shenhong {

Decoder::Decoder(const Weights& weights)
    : weights_(weights),
      attention_(weights.config()),
      grouped_query_(weights.config()),
      feed_forward_(weights.config()),
      ngram_lookup_(weights.config()) {
  if (weights.mtp) drafter_.emplace(weights);
}

std::span<const float> Decoder::forward(std::span<const Segment> segments) {
  const ModelConfig& config = weights_.config();
  const int D = config.hidden_size, V = config.vocab_size;
  const double eps = config.rms_norm_eps;
  int C = 0, rows = 0;
  rows_.clear();
  for (const Segment& s : segments) {
    SH_ASSERT(s.count >= 1 && s.count <= s.sequence->unread());
    SH_ASSERT(s.logits >= 0 && s.logits <= s.count);
    rows_.push_back({s.sequence, s.sequence->read(), s.count});
    C += s.count;
    rows += s.logits;
  }
  x_.resize(int64_t(C) * D);
  normed_.resize(int64_t(C) * D);
  float* x = x_.data();
  for (const Segment& s : segments) {
    for (int i = 0; i < s.count; ++i, x += D) {
      const int token = s.sequence->tokens_and_drafts()[size_t(s.sequence->read() + i)];
      SH_ASSERT(token >= 0 && token < V);
      weights_.embed(token, x);
    }
  }

  for (int l = 0; l < config.num_hidden_layers; ++l) {
    const LayerWeights& layer = weights_.layers[size_t(l)];
    if (layer.memory) {
      float* stream = x_.data();  // rows of one segment
      for (const Segment& s : segments) {
        const std::span<const int> tokens = s.sequence->tokens_and_drafts();
        ngram_lookup_.forward(*layer.memory, tokens.first(size_t(s.sequence->read() + s.count)),
                              stream, s.count);
        stream += int64_t(s.count) * D;
      }
    }
    norm_rows(x_.data(), layer.input_layernorm, normed_.data(), C, eps);
    if (layer.grouped_query)
      grouped_query_.forward(*layer.grouped_query, weights_.rope(), normed_.data(), x_.data(),
                             segments, l);
    else
      attention_.forward(layer.self_attn, weights_.rope(), normed_.data(), x_.data(), rows_, l);
    norm_rows(x_.data(), layer.post_attention_layernorm, normed_.data(), C, eps);
    feed_forward_.forward(layer, normed_.data(), x_.data(), C);
  }

  keep_streams(segments);
  const float* end = x_.data();
  float* wanted = normed_.data();
  for (const Segment& s : segments) {
    end += int64_t(s.count) * D;
    if (s.logits > 0) norm_rows(end - int64_t(s.logits) * D, weights_.norm, wanted, s.logits, eps);
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

void Decoder::keep_streams(std::span<const Segment> segments) {
  if (!drafter_ || !segments.front().sequence->pool().drafts()) return;
  const int D = weights_.config().hidden_size;
  const float* x = x_.data();
  for (const Segment& s : segments) {
    for (int token = s.sequence->read(); token < s.sequence->read() + s.count; ++token, x += D)
      std::copy_n(x, D, s.sequence->stream(token));
  }
  drafter_->read_prompts(segments);
}

std::span<const float> Decoder::forward(Sequence& sequence, int count, int logits) {
  const bool fits = sequence.reserve(count);
  SH_ASSERT(fits);
  const Segment segment{&sequence, count, logits};
  return forward({&segment, 1});
}

}  // namespace shenhong
