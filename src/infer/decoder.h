// The forward pass of decoding: one or more new tokens of a sequence on top of its cache.
#pragma once

#include <span>

#include "core/buffer.h"
#include "infer/cached_attention.h"
#include "infer/feed_forward.h"
#include "infer/kv_cache.h"
#include "infer/ngram_lookup.h"
#include "infer/weights.h"

namespace shenhong {

class Decoder {
 public:
  explicit Decoder(const Weights& weights);  // keeps a reference

  enum class Logits { kLast, kAll };

  // Reads `tokens` after the cache's and extends it by them: C >= 1, size + C <= capacity.
  // Returns logits [1, V] of the last token or [C, V] of all, valid until the next call.
  // After the first call of a size, no call of that size or less takes memory for its results.
  std::span<const float> forward(std::span<const int> tokens, KvCache& cache, Logits which);

 private:
  void norm(const float* x, const Buffer<float>& gain, float* y, int C);

  const Weights& weights_;
  CachedAttention attention_;
  FeedForward feed_forward_;
  NgramLookup ngram_lookup_;
  Activations head_in_;
  Buffer<float> x_, normed_, rstd_, logits_;
};

}  // namespace shenhong
