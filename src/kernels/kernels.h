// The arithmetic: a table of plain functions with contracts. `scalar.cpp` is the definition, for
// float and double; `simd.cpp` replaces entries for float, compiled once per instruction set by
// Highway and chosen at run time. SHENHONG_KERNELS=scalar (or avx2, avx3, ...) forces a table.
//
// Everything is row-major with the last dimension contiguous. Kernels take no threads and throw
// nothing; callers check shapes first and split the work. Each output element is computed by a
// sequence of operations that does not depend on how callers split the other dimensions (but see
// kFewRows).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/attend_rows.h"
#include "kernels/cache_rows.h"
#include "kernels/panels.h"

namespace shenhong {

// How op(A) [M,K] and op(B) [K,N] lie in memory; t marks the operand that is stored transposed.
enum class Layout {
  kNT,  // a [M,K], b [N,K]: activations times a weight as stored
  kNN,  // a [M,K], b [K,N]: gradients times a weight as stored
  kTN,  // a [K,M], b [K,N]: the gradient of a weight
};

// c[M,N] (+)= op(a)·op(b). Leading dimensions count elements between rows; all sizes may be 0.
template <class Real>
struct Gemm {
  Layout layout;
  int M, N, K;
  const Real* a;
  int64_t lda;
  const Real* b;
  int64_t ldb;
  Real* c;
  int64_t ldc;
  bool accumulate;  // false: c is overwritten and may hold anything before, also NaN
  // Parts of one product, which changes none of its operands meanwhile, bear one number: a thread
  // that does several of them in a row copies their common part of B once. 0: no parts.
  uint64_t parts_of = 0;
};

// A kNT product of at most this many rows, decoding, may round differently from one of more rows.
// It rounds alike for any number of rows up to here, so that a draft verified at once gives the
// bits of tokens decoded alone.
constexpr int kFewRows = 8;

// Shares of a softmax below exp(this) of the largest are 0: far below its rounding, and subnormal
// numbers would make every product that reads them ten times slower.
constexpr double kNegligibleLog = -70;

struct AdamWStep {
  double lr, beta1, beta2, eps, weight_decay;
  double correction1, correction2;  // 1 - beta^t
  double gradient_scale;            // from clipping and accumulation
};

template <class Real>
struct Kernels {
  std::string_view name;

  void (*gemm)(const Gemm<Real>&) noexcept;
  // c gets one addition per so many products, at most: where `gemm` cuts K itself, and callers may.
  // 0: it sums all of K first.
  int gemm_depth;

  // Σ a_i b_i
  Real (*dot)(const Real* a, const Real* b, int64_t n) noexcept;
  // y += alpha x
  void (*axpy)(Real alpha, const Real* x, Real* y, int64_t n) noexcept;
  // Σ x_i², summed in double
  double (*sum_squares)(const Real* x, int64_t n) noexcept;

  // y[t,:] = g ⊙ x[t,:] / rms(x[t,:]),  rms(v) = sqrt(mean(v²) + eps)
  //   x [T,D]  g [D]  y [T,D], may be x  rstd [T] = 1/rms, for the backward pass
  void (*rmsnorm)(const Real* x, const Real* g, Real* y, Real* rstd, int T, int D,
                  Real eps) noexcept;
  // Adds to dx [T,D] and dg [D]; x is the forward input.
  void (*rmsnorm_backward)(const Real* dy, const Real* x, const Real* g, const Real* rstd, Real* dx,
                           Real* dg, int T, int D) noexcept;

  // h = silu(a) ⊙ b,  silu(a) = a·sigmoid(a)
  void (*swiglu)(const Real* a, const Real* b, Real* h, int64_t n) noexcept;
  // Overwrites da and db, which may be a and b; h may be dh or null and gets silu(a) ⊙ b again
  // (recomputed instead of kept: techniques 2.5).
  void (*swiglu_backward)(const Real* dh, const Real* a, const Real* b, Real* da, Real* db, Real* h,
                          int64_t n) noexcept;

  // x = softmax(scale·x) in place, n >= 1; returns log Σ exp(scale·x). What is below
  // exp(kNegligibleLog) of the largest becomes 0.
  Real (*softmax)(Real* x, Real scale, int64_t n) noexcept;
  // ds = scale · p ⊙ (dp - Σ p·dp), in place over dp: the gradient of softmax(scale·x) by x.
  void (*softmax_backward)(const Real* p, Real* dp, Real scale, int64_t n) noexcept;

  // Decoupled weight decay (Loshchilov & Hutter): m, v <- moments; w <- w(1 - lr·wd) - lr·m̂/(√v̂ +
  // eps)
  void (*adamw)(Real* w, const Real* g, Real* m, Real* v, const AdamWStep& step,
                int64_t n) noexcept;

  // Decoding's products; float whatever Real is. See panels.h.
  void (*panel_product)(const PanelProduct&) noexcept;
  // x [M,K], K a multiple of 32 -> Int8Rows: per block scale = max |x| / 127, q = x / scale rounded
  // to nearest, ties to even.
  void (*quantize_rows)(const float* x, int64_t ldx, int M, int K, int8_t* q, float* scale,
                        int32_t* sum) noexcept;

  // The decoding cache's rows, the same bits in every table. See cache_rows.h.
  void (*write_cache_row)(const CacheRow& row, const float* x, uint8_t* out) noexcept;
  void (*read_cache_rows)(const CacheRow& row, const uint8_t* rows, int count, int begin, int end,
                          float* out) noexcept;
  // Decoding's attention over them. See attend_rows.h.
  void (*attend_rows)(const AttendRows&) noexcept;
};

// The table in use: the best this machine runs, or the one SHENHONG_KERNELS names.
// Error(kUsage) lists the names this machine offers. For double it is always the definition.
template <class Real>
const Kernels<Real>& kernels();

// Every table this machine can run, best first; the scalar definition is the last.
std::span<const Kernels<float>* const> kernels_available();

// What SHENHONG_KERNELS=name asks for.
const Kernels<float>& kernels_named(std::string_view name);

template <class Real>
const Kernels<Real>& scalar_kernels();

}  // namespace shenhong
