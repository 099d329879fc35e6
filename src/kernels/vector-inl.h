// Kernels that walk along vectors and rows: norms, activations, softmax, the optimizer step.
// Compiled once per instruction set; included by simd.cpp. Contracts in kernels.h.
#include <cmath>
#include <cstdint>
#include <limits>

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "kernels/kernels.h"
#include "kernels/tail-inl.h"

#if defined(SHENHONG_KERNELS_VECTOR_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef SHENHONG_KERNELS_VECTOR_INL_H
#undef SHENHONG_KERNELS_VECTOR_INL_H
#else
#define SHENHONG_KERNELS_VECTOR_INL_H
#endif

HWY_BEFORE_NAMESPACE();
namespace shenhong::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// A vector inside a row, as Tail is one at its end.
struct Whole {
  HWY_INLINE hn::Vec<hn::ScalableTag<float>> load(const float* p) const {
    return hn::LoadU(hn::ScalableTag<float>(), p);
  }
  template <class V>
  HWY_INLINE void store(V v, float* p) const {
    hn::StoreU(v, hn::ScalableTag<float>(), p);
  }
  template <class V>
  HWY_INLINE V keep(V v, V /*outside*/) const {
    return v;
  }
};

// run(i, part) for every vector of [0, n).
template <class Run>
HWY_INLINE void for_vectors(int64_t n, const Run& run) {
  constexpr int64_t kStep = HWY_LANES(float);
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) run(i, Whole{});
  if (i < n) run(i, Tail{size_t(n - i)});
}

// Folds take(sum, i, part) over the vectors of [0, n) in four chains, joined by join(sum, sum).
template <class V, class Take, class Join>
HWY_INLINE V fold_vectors(int64_t n, V start, const Take& take, const Join& join) {
  constexpr int64_t kStep = HWY_LANES(float);
  V s0 = start, s1 = start, s2 = start, s3 = start;
  int64_t i = 0;
  for (; i + 4 * kStep <= n; i += 4 * kStep) {
    s0 = take(s0, i, Whole{});
    s1 = take(s1, i + kStep, Whole{});
    s2 = take(s2, i + 2 * kStep, Whole{});
    s3 = take(s3, i + 3 * kStep, Whole{});
  }
  for (; i + kStep <= n; i += kStep) s0 = take(s0, i, Whole{});
  if (i < n) s1 = take(s1, i, Tail{size_t(n - i)});
  return join(join(s0, s1), join(s2, s3));
}

template <class Take>
HWY_INLINE float sum_vectors(int64_t n, const Take& take) {
  const hn::ScalableTag<float> d;
  const auto sums =
      fold_vectors(n, hn::Zero(d), take, [](auto a, auto b) HWY_ATTR { return hn::Add(a, b); });
  return hn::GetLane(hn::SumOfLanes(d, sums));
}

inline float dot(const float* a, const float* b, int64_t n) noexcept {
  return sum_vectors(n, [&](auto sum, int64_t i, auto part) HWY_ATTR {
    return hn::MulAdd(part.load(a + i), part.load(b + i), sum);
  });
}

inline void axpy(float alpha, const float* x, float* y, int64_t n) noexcept {
  const hn::ScalableTag<float> d;
  const auto factor = hn::Set(d, alpha);
  for_vectors(n, [&](int64_t i, auto part) HWY_ATTR {
    part.store(hn::MulAdd(factor, part.load(x + i), part.load(y + i)), y + i);
  });
}

inline double sum_squares(const float* x, int64_t n) noexcept {
  const hn::ScalableTag<double> wide;
  const hn::Rebind<float, hn::ScalableTag<double>> narrow;
  constexpr int64_t kStep = HWY_LANES(double);
  auto s0 = hn::Zero(wide), s1 = s0, s2 = s0, s3 = s0;
  const auto take = [&](auto sum, int64_t i) HWY_ATTR {
    const auto v = hn::PromoteTo(wide, hn::LoadU(narrow, x + i));
    return hn::MulAdd(v, v, sum);
  };
  int64_t i = 0;
  for (; i + 4 * kStep <= n; i += 4 * kStep) {
    s0 = take(s0, i);
    s1 = take(s1, i + kStep);
    s2 = take(s2, i + 2 * kStep);
    s3 = take(s3, i + 3 * kStep);
  }
  double sum = hn::GetLane(hn::SumOfLanes(wide, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
  for (; i < n; ++i) sum += double(x[i]) * double(x[i]);
  return sum;
}

inline void rmsnorm(const float* x, const float* g, float* y, float* rstd, int T, int D,
                    float eps) noexcept {
  const hn::ScalableTag<float> d;
  for (int t = 0; t < T; ++t, x += D, y += D) {
    rstd[t] = 1 / std::sqrt(dot(x, x, D) / float(D) + eps);
    const auto r = hn::Set(d, rstd[t]);
    for_vectors(D, [&](int64_t i, auto part) HWY_ATTR {
      part.store(hn::Mul(hn::Mul(part.load(x + i), r), part.load(g + i)), y + i);
    });
  }
}

inline void rmsnorm_backward(const float* dy, const float* x, const float* g, const float* rstd,
                             float* dx, float* dg, int T, int D) noexcept {
  const hn::ScalableTag<float> d;
  for (int t = 0; t < T; ++t, dy += D, x += D, dx += D) {
    const float along = sum_vectors(D, [&](auto sum, int64_t i, auto part) HWY_ATTR {
      return hn::MulAdd(hn::Mul(part.load(dy + i), part.load(g + i)), part.load(x + i), sum);
    });
    const auto r = hn::Set(d, rstd[t]);
    const auto pull = hn::Set(d, along * rstd[t] * rstd[t] / float(D));
    for_vectors(D, [&](int64_t i, auto part) HWY_ATTR {
      const auto dyi = part.load(dy + i), xi = part.load(x + i);
      const auto rest = hn::NegMulAdd(xi, pull, hn::Mul(dyi, part.load(g + i)));
      part.store(hn::MulAdd(rest, r, part.load(dx + i)), dx + i);
      part.store(hn::MulAdd(hn::Mul(dyi, xi), r, part.load(dg + i)), dg + i);
    });
  }
}

template <class D, class V>
HWY_INLINE V sigmoid(D d, V a) {
  const V one = hn::Set(d, 1.0f);
  // Highway's Exp is undefined past 104; at 87 the quotient is already the smallest normal number.
  return hn::Div(one, hn::Add(one, hn::Exp(d, hn::Min(hn::Neg(a), hn::Set(d, 87.0f)))));
}

inline void swiglu(const float* a, const float* b, float* h, int64_t n) noexcept {
  const hn::ScalableTag<float> d;
  for_vectors(n, [&](int64_t i, auto part) HWY_ATTR {
    const auto ai = part.load(a + i);
    part.store(hn::Mul(hn::Mul(ai, sigmoid(d, ai)), part.load(b + i)), h + i);
  });
}

inline void swiglu_backward(const float* dh, const float* a, const float* b, float* da, float* db,
                            float* h, int64_t n) noexcept {
  const hn::ScalableTag<float> d;
  for_vectors(n, [&](int64_t i, auto part) HWY_ATTR {
    // All loads come first: outputs may lie over inputs.
    const auto dhi = part.load(dh + i), ai = part.load(a + i), bi = part.load(b + i);
    const auto s = sigmoid(d, ai), silu = hn::Mul(ai, s);
    // silu' = s·(1 + a·(1 - s)) = s + silu - silu·s
    const auto slope = hn::Add(s, hn::NegMulAdd(silu, s, silu));
    part.store(hn::Mul(hn::Mul(dhi, bi), slope), da + i);
    part.store(hn::Mul(dhi, silu), db + i);
    if (h) part.store(hn::Mul(silu, bi), h + i);
  });
}

// exp(z) of z <= 0, 0 where that is negligible beside 1. Highway's Exp gives 0 for NaN, which would
// hide a diverged model.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V softmax_weight(D d, V z) {
  const auto negligible = hn::Set(d, float(kNegligibleLog));
  return hn::IfThenElse(hn::IsNaN(z), z, hn::IfThenZeroElse(hn::Lt(z, negligible), hn::Exp(d, z)));
}

inline float softmax(float* x, float scale, int64_t n) noexcept {
  const hn::ScalableTag<float> d;
  const auto factor = hn::Set(d, scale);
  const auto lowest = hn::Set(d, -std::numeric_limits<float>::infinity());
  const auto tops = fold_vectors(
      n, lowest,
      [&](auto top, int64_t i, auto part)
          HWY_ATTR { return hn::Max(part.keep(hn::Mul(factor, part.load(x + i)), lowest), top); },
      [](auto u, auto v) HWY_ATTR { return hn::Max(u, v); });
  const float top = hn::GetLane(hn::MaxOfLanes(d, tops));
  const auto shift = hn::Set(d, top);
  const float sum = sum_vectors(n, [&](auto sums, int64_t i, auto part) HWY_ATTR {
    const auto e = softmax_weight(d, hn::Sub(hn::Mul(factor, part.load(x + i)), shift));
    part.store(e, x + i);
    return hn::Add(sums, part.keep(e, hn::Zero(d)));
  });
  const auto share = hn::Set(d, 1 / sum);
  for_vectors(n, [&](int64_t i, auto part)
                     HWY_ATTR { part.store(hn::Mul(part.load(x + i), share), x + i); });
  return top + std::log(sum);
}

inline void softmax_backward(const float* p, float* dp, float scale, int64_t n) noexcept {
  const hn::ScalableTag<float> d;
  const auto mean = hn::Set(d, dot(p, dp, n)), factor = hn::Set(d, scale);
  for_vectors(n, [&](int64_t i, auto part) HWY_ATTR {
    const auto gap = hn::Sub(part.load(dp + i), mean);
    part.store(hn::Mul(hn::Mul(factor, part.load(p + i)), gap), dp + i);
  });
}

inline void adamw(float* w, const float* g, float* m, float* v, const AdamWStep& step,
                  int64_t n) noexcept {
  const hn::ScalableTag<float> d;
  const auto gradient_scale = hn::Set(d, float(step.gradient_scale));
  const auto beta1 = hn::Set(d, float(step.beta1)), rest1 = hn::Set(d, float(1 - step.beta1));
  const auto beta2 = hn::Set(d, float(step.beta2)), rest2 = hn::Set(d, float(1 - step.beta2));
  const auto rate = hn::Set(d, float(step.lr / step.correction1));
  const auto v_scale = hn::Set(d, float(1 / step.correction2)), eps = hn::Set(d, float(step.eps));
  const auto kept = hn::Set(d, float(1 - step.lr * step.weight_decay));
  for_vectors(n, [&](int64_t i, auto part) HWY_ATTR {
    const auto gi = hn::Mul(part.load(g + i), gradient_scale);
    const auto mi = hn::MulAdd(beta1, part.load(m + i), hn::Mul(rest1, gi));
    const auto vi = hn::MulAdd(beta2, part.load(v + i), hn::Mul(rest2, hn::Mul(gi, gi)));
    const auto move = hn::Div(hn::Mul(rate, mi), hn::Add(hn::Sqrt(hn::Mul(vi, v_scale)), eps));
    part.store(mi, m + i);
    part.store(vi, v + i);
    part.store(hn::MulSub(kept, part.load(w + i), move), w + i);
  });
}

}  // namespace shenhong::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
