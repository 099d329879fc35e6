// One tensor of the model under its published name, with its gradient while training.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "model/precision.h"

namespace shenhong {

template <class Real>
struct Parameter {
  std::string name;        // DeepSeek-V3's, e.g. model.layers.0.self_attn.o_proj.weight
  int rows = 0, cols = 0;  // a weight is [out, in]; a norm's gain is [1, D] and stored as [D]
  bool is_vector = false;
  Buffer<Real> value;
  Buffer<Real> grad;                       // empty outside training; backward passes add to it
  const Arithmetic* arithmetic = nullptr;  // of its products; nullptr: plain Real

  // A large table of which a step reads few rows: only `touched` rows hold a gradient, in ascending
  // order, all others are zero and cost nothing.
  bool row_sparse = false;
  std::vector<int> touched;

  Parameter() = default;
  static Parameter matrix(std::string name, int rows, int cols) {
    return Parameter(std::move(name), rows, cols, false);
  }
  static Parameter vector(std::string name, int cols) {
    return Parameter(std::move(name), 1, cols, true);
  }

  int64_t size() const { return int64_t(rows) * cols; }
  const Real* w() const { return value.data(); }
  Real* dw() { return grad.data(); }

  void touch(std::span<const int> more) {
    touched.insert(touched.end(), more.begin(), more.end());
    std::sort(touched.begin(), touched.end());
    touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
  }
  void zero_gradient() {
    if (!row_sparse) return grad.zero();
    for (const int row : touched) std::fill_n(grad.data() + int64_t(row) * cols, cols, Real(0));
    touched.clear();
  }

 private:
  Parameter(std::string n, int r, int c, bool v)
      : name(std::move(n)), rows(r), cols(c), is_vector(v) {
    value.resize_zero(size());
  }
};

// How activations around a weight wait for the backward pass: what linear layers and SwiGLU read,
// and the stream or the attention's operands.
template <class Real>
NumberFormat kept_inputs(const Parameter<Real>& w) {
  return w.arithmetic ? w.arithmetic->kept_inputs : NumberFormat::kF32;
}
template <class Real>
NumberFormat kept_stream(const Parameter<Real>& w) {
  return w.arithmetic ? w.arithmetic->kept_stream : NumberFormat::kF32;
}

}  // namespace shenhong
