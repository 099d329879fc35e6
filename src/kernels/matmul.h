// Matrix products over all threads: `gemm` of the table in use, split into tiles of the output.
// Named by storage as in kernels.h. Results do not depend on the number of threads.
#pragma once

#include "kernels/kernels.h"

namespace shenhong {

enum class Write { kReplace, kAdd };

// y [T,N] (+)= x [T,K] · w [N,K]ᵀ: a linear layer
template <class Real>
void matmul_nt(const Real* x, const Real* w, Real* y, int T, int N, int K, Write write);
// dx [T,K] (+)= dy [T,N] · w [N,K]: its gradient by the input
template <class Real>
void matmul_nn(const Real* dy, const Real* w, Real* dx, int T, int K, int N, Write write);
// dw [N,K] (+)= dy [T,N]ᵀ · x [T,K]: its gradient by the weight
template <class Real>
void matmul_tn(const Real* dy, const Real* x, Real* dw, int N, int K, int T, Write write);

// The general form, for operands that are parts of wider rows.
template <class Real>
void matmul(const Gemm<Real>& product);

}  // namespace shenhong
