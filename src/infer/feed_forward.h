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
  // Rows that meet MLPs of one width F: the tokens of the routed experts, or all.
  struct Rows {
    int count = 0;
    Activations x, hidden;   // [count, D], [count, F]
    Buffer<float> gate, up;  // [count, F]
    Buffer<float> out;       // [count, D]
  };
  // Rows [first, first + count) meet one MLP.
  struct Group {
    Rows* rows;
    const MlpWeights* mlp;
    int first, count;
  };

  void choose(const MoeWeights& moe, int C);
  void gather(const MoeWeights& moe, int C);
  void run_groups();
  void combine(const LayerWeights& layer, const float* x, float* y, int first, int last) const;

  ModelConfig config_;
  Router<float>::Saved choice_;
  Choices choices_;
  std::vector<int> first_;  // [E+1]: an expert's next row
  std::vector<int> slot_;   // [C,M]: the row of a token's choice, M at most
  std::vector<int> token_;  // of a row
  Rows routed_, own_;
  std::vector<Group> groups_;
  std::vector<PanelProduct> products_;
};

}  // namespace shenhong
