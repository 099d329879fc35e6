#include "model/linear.h"

#include <algorithm>
#include <type_traits>

#include "core/random.h"
#include "kernels/hadamard.h"
#include "kernels/quantized_matrix.h"

namespace shenhong {
namespace {

enum class Product : uint64_t { kInputGradient = 1, kWeightGradient = 2 };

// One pass, one weight, one product: one stream.
Draw draw_for(const Arithmetic& a, const Parameter<float>& w, Rows rows, Product product) {
  constexpr uint64_t kOdd = 0x9e3779b97f4a7c15u;
  return {a.seed + a.pass * kOdd, fnv1a(w.name) + kOdd * (uint64_t(product) + 4u * rows.first)};
}

// x itself where the grid is that of float.
const float* on_grid(const Grid& grid, const float* x, int rows, int cols, Buffer<float>& room) {
  if (grid.format == NumberFormat::kF32) return x;
  room.resize(int64_t(rows) * cols);
  round_to_grid(grid, x, room.data(), rows, cols);
  return room.data();
}

const float* gradient_on_grid(const Arithmetic& a, const Grid& grid, const Draw& draw,
                              const float* dy, int rows, int cols, Buffer<float>& room) {
  if (!a.stochastic) return on_grid(grid, dy, rows, cols, room);
  room.resize(int64_t(rows) * cols);
  round_stochastically(grid, draw, dy, room.data(), rows, cols);
  return room.data();
}

const float* weight_on_grid(const Arithmetic& a, const Grid& grid, const float* w, Rows rows,
                            int cols, Buffer<float>& room) {
  if (a.as_stored == NumberFormat::kF32) return on_grid(grid, w, rows.count, cols, room);
  room.resize(int64_t(rows.count) * cols);
  dequantize(quantize(a.as_stored, rows.count, cols, w).view, room.data());
  return room.data();
}

uint16_t hadamard_signs(const Arithmetic& a) {
  return uint16_t(philox(a.seed, fnv1a("hadamard signs"), 0)[0]);
}

// Operands of a product; kept from call to call, as fresh pages would cost more than rounding.
struct Room {
  Buffer<float> left, right, turned_left, turned_right;
};
Room& room() {
  thread_local Room kept;
  return kept;
}

}  // namespace

template <class Real>
void linear(const Real* x, const Parameter<Real>& w, Rows rows, Real* y, int N, Write write) {
  const Real* weight = w.w() + int64_t(rows.first) * w.cols;
  if constexpr (std::is_same_v<Real, float>) {
    if (const Arithmetic* a = w.arithmetic) {
      x = on_grid(a->input, x, N, w.cols, room().left);
      weight = weight_on_grid(*a, a->weight, weight, rows, w.cols, room().right);
    }
  }
  matmul_nt(x, weight, y, N, rows.count, w.cols, write);
}

template <class Real>
void linear_backward_input(const Real* dy, const Parameter<Real>& w, Rows rows, Real* dx, int N,
                           Write write) {
  const Real* weight = w.w() + int64_t(rows.first) * w.cols;
  if constexpr (std::is_same_v<Real, float>) {
    if (const Arithmetic* a = w.arithmetic) {
      dy = gradient_on_grid(*a, a->gradient, draw_for(*a, w, rows, Product::kInputGradient), dy, N,
                            rows.count, room().left);
      weight = weight_on_grid(*a, a->weight_back, weight, rows, w.cols, room().right);
    }
  }
  matmul_nn(dy, weight, dx, N, w.cols, rows.count, write);
}

template <class Real>
void linear_backward_weight(const Real* dy, const Real* x, Parameter<Real>& w, Rows rows, int N) {
  if constexpr (std::is_same_v<Real, float>) {
    if (const Arithmetic* a = w.arithmetic) {
      Room& r = room();
      if (a->keeps_input_grid) x = on_grid(a->input, x, N, w.cols, r.right);
      int tokens = N;
      if (a->hadamard) {
        tokens = hadamard_rows(N);
        r.turned_left.resize(int64_t(tokens) * rows.count);
        r.turned_right.resize(int64_t(tokens) * w.cols);
        hadamard(hadamard_signs(*a), dy, r.turned_left.data(), N, rows.count);
        hadamard(hadamard_signs(*a), x, r.turned_right.data(), N, w.cols);
        dy = r.turned_left.data();
        x = r.turned_right.data();
      }
      dy = gradient_on_grid(*a, a->gradient_tokens, draw_for(*a, w, rows, Product::kWeightGradient),
                            dy, tokens, rows.count, r.left);
      x = on_grid(a->input_tokens, x, tokens, w.cols, r.right);
      N = tokens;
    }
  }
  matmul_tn(dy, x, w.dw() + int64_t(rows.first) * w.cols, rows.count, w.cols, N, Write::kAdd);
}

template <class Real>
void weight_row(const Parameter<Real>& w, int row, Real* out) {
  const Real* values = w.w() + int64_t(row) * w.cols;
  if constexpr (std::is_same_v<Real, float>) {
    if (w.arithmetic && w.arithmetic->as_stored != NumberFormat::kF32) {
      dequantize(quantize(w.arithmetic->as_stored, 1, w.cols, values).view, out);
      return;
    }
  }
  std::copy_n(values, w.cols, out);
}

template void linear(const float*, const Parameter<float>&, Rows, float*, int, Write);
template void linear(const double*, const Parameter<double>&, Rows, double*, int, Write);
template void linear_backward_input(const float*, const Parameter<float>&, Rows, float*, int,
                                    Write);
template void linear_backward_input(const double*, const Parameter<double>&, Rows, double*, int,
                                    Write);
template void linear_backward_weight(const float*, const float*, Parameter<float>&, Rows, int);
template void linear_backward_weight(const double*, const double*, Parameter<double>&, Rows, int);
template void weight_row(const Parameter<float>&, int, float*);
template void weight_row(const Parameter<double>&, int, double*);

}  // namespace shenhong
