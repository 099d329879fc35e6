// The forward pass of decoding: new tokens of one or more sequences on top of their pages. A
// token's logits are the same bits whoever shares its step and however its sequence is cut into
// steps.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "core/buffer.h"
#include "infer/cached_attention.h"
#include "infer/drafter.h"
#include "infer/feed_forward.h"
#include "infer/grouped_query_attention.h"
#include "infer/ngram_lookup.h"
#include "infer/sequence.h"
#include "infer/weights.h"

namespace shenhong {

class Decoder {
 public:
  explicit Decoder(const Weights& weights);  // keeps a reference

  const ModelConfig& config() const { return weights_.config(); }

  // Reads the segments' tokens and drafts: at least one each, of different sequences.
  // Returns logits [Σ logits, V] in the order of the segments, valid until the next call.
  // After the first call of a size, no call of that size or less takes memory for its results.
  std::span<const float> forward(std::span<const Segment> segments);

  // The next `count` pending tokens of one sequence, whose pool has room for them.
  std::span<const float> forward(Sequence& sequence, int count, int logits);

  // Of the layers' experts since the decoder was made.
  const FeedForward::Choices& choices() const { return feed_forward_.choices(); }

  // Drafter::forward; for sequences whose pool has room for drafts.
  std::span<const float> draft(std::span<Sequence* const> sequences) {
    return drafter_->forward(sequences);
  }

 private:
  // Leaves what left the trunk in the pages, for drafts.
  void keep_streams(std::span<const Segment> segments);

  const Weights& weights_;
  CachedAttention attention_;
  GroupedQueryAttention grouped_query_;
  FeedForward feed_forward_;
  NgramLookup ngram_lookup_;
  std::optional<Drafter> drafter_;
  std::vector<CachedRows> rows_;
  Activations head_in_;
  Buffer<float> x_, normed_, logits_;
};

}  // namespace shenhong
