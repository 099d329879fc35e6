// A few rows times a weight as stored [N,K]: decoding. Every weight is used so few times that the
// product runs at the speed of reading them, in place and front to back, and the sums run along K:
// lane by lane, the lanes added at the end. Rounding therefore differs from the tiles', but not
// between the numbers of rows this file serves: a token decoded alone or with a few others gets the
// same bits. Compiled once per instruction set; included by gemm-inl.h.
#include <algorithm>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/kernels.h"
#include "kernels/tail-inl.h"
#include "kernels/tile-inl.h"

#if defined(SHENHONG_KERNELS_FEW_ROWS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef SHENHONG_KERNELS_FEW_ROWS_INL_H
#undef SHENHONG_KERNELS_FEW_ROWS_INL_H
#else
#define SHENHONG_KERNELS_FEW_ROWS_INL_H
#endif

HWY_BEFORE_NAMESPACE();
namespace shenhong::HWY_NAMESPACE {

using Four = hn::FixedTag<float, 4>;
constexpr int kDotRows = kManyRegisters ? 4 : 2;  // of A at once
// Sums per element. Each row of B is walked alone: reading several at once would go round the
// prefetcher, which follows one stream per page.
constexpr int kChains = 4;

// Adds up the 128-bit blocks of a vector.
template <class D>
HWY_INLINE hn::Vec<Four> add_blocks([[maybe_unused]] D d, hn::Vec<D> v) {
  if constexpr (hn::MaxLanes(D()) == 4) {
    return v;
  } else {
    const hn::Half<D> half;
    return add_blocks(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
}

// Lane i is the sum of the lanes of s_i.
HWY_INLINE hn::Vec<Four> sums_of_lanes(Vector s0, Vector s1, Vector s2, Vector s3) {
  const F d;
  const hn::Repartition<double, F> pairs;
  const auto s01 =
      hn::BitCast(pairs, hn::Add(hn::InterleaveLower(d, s0, s1), hn::InterleaveUpper(d, s0, s1)));
  const auto s23 =
      hn::BitCast(pairs, hn::Add(hn::InterleaveLower(d, s2, s3), hn::InterleaveUpper(d, s2, s3)));
  return add_blocks(d, hn::Add(hn::BitCast(d, hn::InterleaveLower(pairs, s01, s23)),
                               hn::BitCast(d, hn::InterleaveUpper(pairs, s01, s23))));
}

// out[r] = the lanes of a_r·b over K, still to be added up.
template <int kRows>
HWY_INLINE void run_dots(const float* a, int64_t lda, const float* b, int K, Vector* out) {
  const F d;
  Vector sums[kRows][kChains];
  unroll<kRows>([&](auto r) HWY_ATTR {
    unroll<kChains>([&](auto i) HWY_ATTR { sums[r][i] = hn::Zero(d); });
  });
  int k = 0;
  for (; k + kChains * kLanes <= K; k += kChains * kLanes) {
    Vector bv[kChains];
    unroll<kChains>([&](auto i) HWY_ATTR { bv[i] = hn::LoadU(d, b + k + i * kLanes); });
    unroll<kRows>([&](auto r) HWY_ATTR {
      unroll<kChains>([&](auto i) HWY_ATTR {
        sums[r][i] = hn::MulAdd(hn::LoadU(d, a + r * lda + k + i * kLanes), bv[i], sums[r][i]);
      });
    });
  }
  for (; k < K; k += kLanes) {
    const Tail tail{size_t(std::min(K - k, kLanes))};
    const Vector bv = tail.load(b + k);
    unroll<kRows>([&](auto r) HWY_ATTR {
      sums[r][0] = hn::MulAdd(tail.load(a + r * lda + k), bv, sums[r][0]);
    });
  }
  unroll<kRows>([&](auto r) HWY_ATTR {
    out[r] = hn::Add(hn::Add(sums[r][0], sums[r][1]), hn::Add(sums[r][2], sums[r][3]));
  });
}

// Rows [m, m + kRows) of C, columns [n, n + 4) or up to N.
template <int kRows>
HWY_INLINE void run_few_rows(const Gemm<float>& g, int m, int n) {
  const int columns = std::min(4, g.N - n);
  Vector lanes[4][kRows];
  for (int j = 0; j < 4; ++j) {
    const float* b = g.b + (n + std::min(j, columns - 1)) * g.ldb;
    run_dots<kRows>(g.a + m * g.lda, g.lda, b, g.K, lanes[j]);
  }
  for (int r = 0; r < kRows; ++r) {
    HWY_ALIGN float sums[4];
    hn::Store(sums_of_lanes(lanes[0][r], lanes[1][r], lanes[2][r], lanes[3][r]), Four(), sums);
    float* c = g.c + (m + r) * g.ldc + n;
    for (int j = 0; j < columns; ++j) c[j] = g.accumulate ? c[j] + sums[j] : sums[j];
  }
}

inline void gemm_few_rows(const Gemm<float>& g) {
  for (int n = 0; n < g.N; n += 4) {
    int m = 0;
    for (; m + kDotRows <= g.M; m += kDotRows) run_few_rows<kDotRows>(g, m, n);
    for (; m < g.M; ++m) run_few_rows<1>(g, m, n);
  }
}

}  // namespace shenhong::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
