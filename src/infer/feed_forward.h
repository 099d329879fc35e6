// The feed-forward half of a block while decoding: tokens are grouped by the experts that they
// chose, so that a step reads an expert once, and no expert that nobody chose. The shared experts,
// or a dense layer, are one more group that holds every token.
#pragma once

#include <vector>

#include "infer/weights.h"
#include "kernels/panel_matmul.h"

namespace shenhong {

class FeedForward {
 public:
  explicit FeedForward(const ModelConfig& config) : config_(config) {}

  // x [C,D] (normed) -> adds to y [C,D]. A token's contributions are added in the order of its
  // choices, the shared experts' last.
  void forward(const LayerWeights& layer, const float* x, float* y, int C);

  // Routed experts that tokens chose, and of those the ones that were not read
  // (infer/expert_skipping).
  struct Choices {
    int64_t all = 0, skipped = 0;
  };
  const Choices& choices() const { return choices_; }

 private:
  // Rows [first, first + count) of the gathered activations meet one MLP.
  struct Group {
    const MlpWeights* mlp;
    int first, count;
    int64_t hidden;  // where its gate and up outputs begin
    Activations h;   // [count, F]
  };

  void run_groups(int rows);

  ModelConfig config_;
  Router<float>::Saved routed_;
  Choices choices_;
  std::vector<int> first_;     // [E+1]: an expert's next gathered row
  std::vector<int> slot_;      // [C,M]: the gathered row of a token's choice, M at most
  std::vector<Group> groups_;  // reused, so that their buffers are
  size_t group_count_ = 0;
  Buffer<float> rows_;  // [rows, D]: tokens in the order of the groups
  Activations gathered_;
  Buffer<float> a_, b_, out_;
  std::vector<PanelProduct> products_;
};

}  // namespace shenhong
