// The arithmetic of training: which products of a linear layer run on which quantised operands, and
// in how many bits activations wait for the backward pass (V3 report, 3.3; techniques 3.4, 3.5).
//
//   forward          y = x Wᵀ     x in tiles along its row, W
//   input gradient   dx = dy W    dy in tiles along its row, W
//   weight gradient  dW = dyᵀ x   both in tiles along the tokens
// An operand is put on the grid of its format and multiplied in float: exactly the numbers of a
// product of codes with its partial sums promoted to float every tile, up to the order of
// summation. Weights and gradients themselves stay float; embedding, tables of n-grams, head, router,
// norms and the attention between its projections compute in float.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "kernels/grid.h"

namespace shenhong {

//   f32    as written
//   bf16   operands rounded to bf16
//   fp8    DeepSeek-V3's: E4M3 in tiles of 1 × 128, weights of 128 × 128; the input is rounded once
//          more, along the tokens, for the weight gradient
//   nvfp4  E2M1 in tiles of 16, weights of 16 × 16, scales in E4M3; the weight gradient's operands
//          pass a random Hadamard transform, gradients round stochastically; the last blocks bf16
//   mxfp4  likewise in tiles of 32 whose scales are powers of two, weights along the contraction
//   int8   tiles of 32 along the contraction, float scales
//   mix    trains in float for `shenhong quantize --format mix`: the forward pass sees weights as
//          that writes them (experts nvfp4, the rest int8) and activations in int8 per 32 as
//          decoding has them; gradients pass the rounding straight through
enum class Precision { kF32, kBF16, kFP8, kNVFP4, kMXFP4, kInt8, kMix };

// Error(kUsage) lists the names; `where` names the table of settings.
Precision precision_named(std::string_view name, std::string_view where);

// How a weight takes part in products and how its layer's activations are kept.
struct Arithmetic {
  Grid input, weight;                  // forward
  Grid weight_back, gradient;          // input gradient
  Grid input_tokens, gradient_tokens;  // weight gradient
  bool keeps_input_grid = false;       // its input is rounded for the forward product first
  bool hadamard = false;               // of the weight gradient's operands
  bool stochastic = false;             // gradients round stochastically
  NumberFormat as_stored = NumberFormat::kF32;  // the weight as a file of this format holds it
  // Between forward and backward pass: what linear layers and SwiGLU read; the stream and what the
  // attention reads.
  NumberFormat kept_inputs = NumberFormat::kF32, kept_stream = NumberFormat::kF32;
  // Of the random numbers: `pass` tells one forward and backward pass from the others.
  uint64_t seed = 0, pass = 0;
};

// The arithmetics of a model's matrices by their names; they live as long as the model.
class Arithmetics {
 public:
  // `layers`: num_hidden_layers; the modules' layers follow them. `tied`: the head is the
  // embedding.
  Arithmetics(Precision precision, int layers, bool tied, uint64_t seed);

  // nullptr: plain float.
  const Arithmetic* of(const std::string& name) const;
  void set_pass(uint64_t pass);

 private:
  Precision precision_;
  int layers_;
  bool tied_;
  std::map<NumberFormat, std::unique_ptr<Arithmetic>> known_;  // by the weight's format
};

// Whether the optimizer keeps its moments in bf16.
bool has_bf16_moments(Precision precision);

}  // namespace shenhong
