// The three products of a linear layer y = W x in the arithmetic of its weight (model/precision).
#pragma once

#include "kernels/matmul.h"
#include "model/parameter.h"

namespace shenhong {

// Rows first .. first + count - 1 of a weight, as a layer of their own: tiles begin anew at them.
struct Rows {
  int first, count;
};

// x [N,in] -> y [N,out]
template <class Real>
void linear(const Real* x, const Parameter<Real>& w, Rows rows, Real* y, int N, Write write);
// dy [N,out] -> dx [N,in]
template <class Real>
void linear_backward_input(const Real* dy, const Parameter<Real>& w, Rows rows, Real* dx, int N,
                           Write write);
// dy [N,out], x [N,in] -> adds to the weight's gradient
template <class Real>
void linear_backward_weight(const Real* dy, const Real* x, Parameter<Real>& w, Rows rows, int N);

// With all rows.
template <class Real>
void linear(const Real* x, const Parameter<Real>& w, Real* y, int N, Write write) {
  linear(x, w, {0, w.rows}, y, N, write);
}
template <class Real>
void linear_backward_input(const Real* dy, const Parameter<Real>& w, Real* dx, int N, Write write) {
  linear_backward_input(dy, w, {0, w.rows}, dx, N, write);
}
template <class Real>
void linear_backward_weight(const Real* dy, const Real* x, Parameter<Real>& w, int N) {
  linear_backward_weight(dy, x, w, {0, w.rows}, N);
}

// One row of a weight that is looked up, an embedding, as products see it: out [in].
template <class Real>
void weight_row(const Parameter<Real>& w, int row, Real* out);

}  // namespace shenhong
