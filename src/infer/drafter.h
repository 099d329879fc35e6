// Drafts with the prediction module (V3 report, 2.2): what may follow what was just drawn.
//
// The module's row at place j reads token j and the stream that left the trunk for token j-1, and
// says what may be token j+1. Rows are kept like those of one more layer, in the pages' last; place
// 0 has none, and nobody sees it. So a row depends on the tokens up to its place alone, and pages
// of a prompt can be shared with their rows.
//
// Chaining (techniques 5.2, EAGLE's way): at a draft's place the module reads its own output at the
// place before, which lies there in the stream's stead until the trunk has read that far.
#pragma once

#include <span>
#include <vector>

#include "core/buffer.h"
#include "infer/cached_attention.h"
#include "infer/feed_forward.h"
#include "infer/sequence.h"
#include "infer/weights.h"

namespace shenhong {

class Drafter {
 public:
  explicit Drafter(const Weights& weights);  // which have a module; keeps a reference

  // Keeps the rows of what the segments hold of prompts, whose streams are in their pages.
  void read_prompts(std::span<const Segment> segments);

  // Logits [n,V] of what may follow the last token or draft of each, valid until the next call.
  // The trunk has read all but the last token, and there are pages for that and the drafts.
  std::span<const float> forward(std::span<Sequence* const> sequences);

 private:
  // x_ [C,D] of the rows, and normed_ of that, for the attention.
  void begin(std::span<const CachedRows> all);

  const Weights& weights_;
  CachedAttention attention_;
  FeedForward feed_forward_;
  Activations pair_in_, head_in_;
  Buffer<float> pair_, x_, normed_, logits_;  // [C,2D] [C,D] [C,D] [C,V]
  std::vector<CachedRows> earlier_, last_;
};

}  // namespace shenhong
