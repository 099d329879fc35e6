// RMSNorm over all threads: y = g ⊙ x / rms(x), x [N,D].
#pragma once

#include "core/buffer.h"
#include "model/parameter.h"

namespace shenhong {

// Fills rstd [N] = 1/rms for the backward pass. y may be x.
template <class Real>
void rmsnorm(const Real* x, const Parameter<Real>& gain, Real* y, Buffer<Real>& rstd, int N,
             double eps);

// Adds to dx [N,D] and to the gain's gradient; x and rstd are the forward pass's.
template <class Real>
void rmsnorm_backward(const Real* dy, const Real* x, Parameter<Real>& gain,
                      const Buffer<Real>& rstd, Real* dx, int N);

}  // namespace shenhong
