// A memory of n-grams (model/ngram_memory) while decoding.
#pragma once

#include <vector>

#include "infer/weights.h"
#include "kernels/panel_matmul.h"

namespace shenhong {

class NgramLookup {
 public:
  explicit NgramLookup(const ModelConfig& config) : config_(config) {}

  // Adds to the stream x [C,D] of the C last of `tokens`, which are the whole sequence so far.
  void forward(const NgramMemoryWeights& memory, std::span<const int> tokens, float* x, int C);

 private:
  ModelConfig config_;
  std::vector<int> rows_;
  Buffer<float> e_, query_, key_, value_;
  Activations in_;
};

}  // namespace shenhong
