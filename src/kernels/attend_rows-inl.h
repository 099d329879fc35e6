// Attention over rows of the cache (attend_rows.h). Every row is widened to floats once, on its way
// into the registers, and meets all heads of a group there; the values are read from what the
// scores left in the second-level cache. A score is one chain of fused multiply-adds per lane, over
// the row's coded numbers and then its exact ones, the lanes added at the end; a value one chain
// over the rows in order. The shape of the tiles changes nothing. Compiled once per instruction
// set; included by simd.cpp.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/buffer.h"
#include "core/floats.h"
#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "kernels/attend_rows.h"
#include "kernels/few_rows-inl.h"
#include "kernels/kernels.h"
#include "kernels/panels.h"
#include "kernels/tail-inl.h"
#include "kernels/tile-inl.h"
#include "kernels/vector-inl.h"

#if defined(SHENHONG_KERNELS_ATTEND_ROWS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef SHENHONG_KERNELS_ATTEND_ROWS_INL_H
#undef SHENHONG_KERNELS_ATTEND_ROWS_INL_H
#else
#define SHENHONG_KERNELS_ATTEND_ROWS_INL_H
#endif

HWY_BEFORE_NAMESPACE();
namespace shenhong::HWY_NAMESPACE {

// A tile is so many heads by two: two rows while scores are summed, two vectors of a row's numbers
// while values are. Sixteen sums (of 32 registers) or eight hide the latency of theirs.
constexpr int kGroupHeads = kManyRegisters ? 8 : 4;
constexpr int kTileTwo = 2;

// The rows that are met next, asked for line by line all the time that these ones take: memory is
// read while products are summed, or both would wait for each other.
class NextRows {
 public:
  // `steps`: how often ask() will be called, roughly.
  NextRows(const AttendRows& a, int64_t steps)
      : at_(a.next), step_(std::min<int64_t>(64, a.row.bytes() * a.count / steps + 1)) {}
  HWY_INLINE void ask() {
    __builtin_prefetch(at_, 0, 2);  // into the second-level cache: the first is full
    at_ += step_;
  }

 private:
  const uint8_t* at_;
  int64_t step_;
};

// How rows lie. vector(): numbers [k, k + kLanes) of row t, which belong to one part of it.
struct RowsOfFloats {
  static constexpr bool kWiden = false;
  const float* data;
  int64_t stride;

  template <bool kExact>
  HWY_INLINE Vector vector(int t, int k) const {
    return hn::LoadU(F(), data + t * stride + k);
  }
  float number(int t, int k) const { return data[t * stride + k]; }
};

struct RowsOfF16 {
  static constexpr bool kWiden = true;
  const uint8_t* data;
  int64_t bytes;

  const uint16_t* row(int t) const { return reinterpret_cast<const uint16_t*>(data + t * bytes); }
  template <bool kExact>
  HWY_INLINE Vector vector(int t, int k) const {
    const hn::Rebind<hwy::float16_t, F> halves;
    const auto* numbers = reinterpret_cast<const hwy::float16_t*>(row(t) + k);
    return hn::PromoteTo(F(), hn::LoadU(halves, numbers));
  }
  float number(int t, int k) const { return f16_to_float(row(t)[k]); }
};

struct RowsOfInt8 {
  static constexpr bool kWiden = true;
  const uint8_t* data;
  int64_t bytes;
  int coded, exact, blocks;

  const float* floats(int t) const { return reinterpret_cast<const float*>(data + t * bytes); }
  const float* scales(int t) const { return floats(t) + exact; }
  const int8_t* codes(int t) const { return reinterpret_cast<const int8_t*>(scales(t) + blocks); }
  template <bool kExact>
  HWY_INLINE Vector vector(int t, int k) const {
    const F d;
    if constexpr (kExact) return hn::LoadU(d, floats(t) + (k - coded));
    const hn::Rebind<int32_t, F> ints;
    const hn::Rebind<int8_t, F> narrow;
    const auto q = hn::PromoteTo(ints, hn::LoadU(narrow, codes(t) + k));
    return hn::Mul(hn::ConvertTo(d, q), hn::Set(d, scales(t)[k / kInt8Block]));
  }
  float number(int t, int k) const {
    return k < coded ? float(codes(t)[k]) * scales(t)[k / kInt8Block] : floats(t)[k - coded];
  }
};

// The last numbers of a row, fewer than a vector, filled up with zeros.
template <class Number>
HWY_INLINE Vector part_of(int count, const Number& number) {
  HWY_ALIGN float lanes[kLanes] = {};
  for (int i = 0; i < count; ++i) lanes[i] = number(i);
  return hn::Load(F(), lanes);
}

template <int kHeads, int kRows>
struct Scores {
  Vector at[kHeads][kRows];

  HWY_INLINE Scores() {
    unroll<kHeads>([&](auto h) HWY_ATTR {
      unroll<kRows>([&](auto r) HWY_ATTR { at[h][r] = hn::Zero(F()); });
    });
  }
  HWY_INLINE void multiply_add(int h, Vector q, const Vector* c) {
    unroll<kRows>([&](auto r) HWY_ATTR { at[h][r] = hn::MulAdd(q, c[r], at[h][r]); });
  }
  // s [kHeads, kRows], kMostRows apart
  HWY_INLINE void write(float scale, float* s) const {
    for (int r = 0; r < kRows; ++r)
      for (int h = 0; h < kHeads; h += 4) {
        const auto of = [&](int i) HWY_ATTR { return at[std::min(h + i, kHeads - 1)][r]; };
        HWY_ALIGN float sums[4];
        hn::Store(sums_of_lanes(of(0), of(1), of(2), of(3)), Four(), sums);
        for (int i = 0; i < std::min(4, kHeads - h); ++i)
          s[(h + i) * kMostRows + r] = scale * sums[i];
      }
  }
};

// Numbers [begin, end) of rows t .. t + kRows - 1, one part of them, against those of the queries.
template <bool kExact, int kHeads, int kRows, class Rows>
HWY_INLINE void score_part(const Rows& rows, int t, int begin, int end, const float* q,
                           int64_t size, float* wide, NextRows& next,
                           Scores<kHeads, kRows>& scores) {
  const F d;
  int k = begin;
  for (; k + kLanes <= end; k += kLanes) {
    next.ask();
    Vector c[kRows];
    unroll<kRows>([&](auto r) HWY_ATTR {
      c[r] = rows.template vector<kExact>(t + r, k);
      if constexpr (Rows::kWiden) hn::StoreU(c[r], d, wide + (t + r) * size + k);
    });
    unroll<kHeads>([&](auto h)
                       HWY_ATTR { scores.multiply_add(h, hn::LoadU(d, q + h * size + k), c); });
  }
  if (k == end) return;
  Vector c[kRows];
  for (int r = 0; r < kRows; ++r) {
    c[r] = part_of(end - k, [&](int i) { return rows.number(t + r, k + i); });
    if constexpr (Rows::kWiden)
      for (int i = k; i < end; ++i) wide[(t + r) * size + i] = rows.number(t + r, i);
  }
  unroll<kHeads>([&](auto h) HWY_ATTR {
    scores.multiply_add(h, part_of(end - k, [&](int i) { return q[h * size + k + i]; }), c);
  });
}

template <int kHeads, int kRows, class Rows>
HWY_INLINE void score_tile(const AttendRows& a, const Rows& rows, int head, int t, float* s,
                           float* wide, NextRows& next) {
  const int64_t size = a.row.size();
  const float* q = a.q + head * size;
  Scores<kHeads, kRows> scores;
  score_part<false>(rows, t, 0, a.row.coded, q, size, wide, next, scores);
  score_part<true>(rows, t, a.row.coded, a.row.size(), q, size, wide, next, scores);
  scores.write(a.scale, s + t);
}

// s [kHeads, count] of the heads from `head` on.
template <int kHeads, class Rows>
HWY_NOINLINE NextRows score_heads(const AttendRows& a, const Rows& rows, int head, float* s,
                                  float* wide, NextRows next) {
  int t = 0;
  for (; t + kTileTwo <= a.count; t += kTileTwo)
    score_tile<kHeads, kTileTwo>(a, rows, head, t, s, wide, next);
  for (; t < a.count; ++t) score_tile<kHeads, 1>(a, rows, head, t, s, wide, next);
  return next;
}

// s [heads, count] -> weights, 0 up to whole vectors; keep [heads]
HWY_INLINE void weigh_heads(const AttendRows& a, int head, int heads, float* s, float* keep) {
  const F d;
  const int whole = (a.count + kLanes - 1) / kLanes * kLanes;
  for (int h = 0; h < heads; ++h, s += kMostRows) {
    for (int t = a.count; t < whole; ++t) s[t] = -std::numeric_limits<float>::infinity();
    float &top = a.top[head + h], &sum = a.sum[head + h];
    auto tops = hn::Set(d, top);
    for (int t = 0; t < whole; t += kLanes) tops = hn::Max(hn::Load(d, s + t), tops);
    const float before = top;
    top = hn::GetLane(hn::MaxOfLanes(d, tops));
    const float gap = before - top;
    keep[h] = before == top ? 1.0f : gap < float(kNegligibleLog) ? 0.0f : std::exp(gap);
    auto sums = hn::Zero(d);
    const auto shift = hn::Set(d, top);
    for (int t = 0; t < whole; t += kLanes) {
      const auto e = softmax_weight(d, hn::Sub(hn::Load(d, s + t), shift));
      hn::Store(e, d, s + t);
      sums = hn::Add(sums, e);
    }
    sum = keep[h] * sum + hn::GetLane(hn::SumOfLanes(d, sums));
  }
}

// Columns [k, k + kVectors·kLanes) of o, or with a Tail as `part` the last ones.
template <int kHeads, int kVectors, class Part>
HWY_INLINE void mix_tile(const AttendRows& a, const float* rows, int64_t stride, int head,
                         const float* p, const float* keep, int k, const Part& part,
                         NextRows& next) {
  const F d;
  const int64_t coded = a.row.coded;
  float* o = a.o + head * coded + k;
  Vector sums[kHeads][kVectors];
  unroll<kHeads>([&](auto h) HWY_ATTR {
    unroll<kVectors>([&](auto v) HWY_ATTR {
      sums[h][v] = hn::Mul(hn::Set(d, keep[h]), part.load(o + h * coded + v * kLanes));
    });
  });
  rows += k;
  for (int t = 0; t < a.count; ++t, rows += stride) {
    next.ask();
    Vector c[kVectors];
    unroll<kVectors>([&](auto v) HWY_ATTR { c[v] = part.load(rows + v * kLanes); });
    unroll<kHeads>([&](auto h) HWY_ATTR {
      const Vector weight = hn::Set(d, p[h * kMostRows + t]);
      unroll<kVectors>([&](auto v) HWY_ATTR { sums[h][v] = hn::MulAdd(weight, c[v], sums[h][v]); });
    });
  }
  for (int h = 0; h < kHeads; ++h)
    for (int v = 0; v < kVectors; ++v) part.store(sums[h][v], o + h * coded + v * kLanes);
}

template <int kHeads>
HWY_NOINLINE NextRows mix_heads(const AttendRows& a, const float* rows, int64_t stride, int head,
                                const float* p, const float* keep, NextRows next) {
  const int coded = a.row.coded;
  int k = 0;
  for (; k + kTileTwo * kLanes <= coded; k += kTileTwo * kLanes)
    mix_tile<kHeads, kTileTwo>(a, rows, stride, head, p, keep, k, Whole(), next);
  if (k + kLanes <= coded) {
    mix_tile<kHeads, 1>(a, rows, stride, head, p, keep, k, Whole(), next);
    k += kLanes;
  }
  if (k < coded)
    mix_tile<kHeads, 1>(a, rows, stride, head, p, keep, k, Tail{size_t(coded - k)}, next);
  return next;
}

// A group of heads: the first one widens the rows, if they are no floats.
template <int kHeads, class Rows>
HWY_INLINE void attend_heads(const AttendRows& a, const Rows& stored, const RowsOfFloats& floats,
                             float* wide, int head, NextRows& next) {
  HWY_ALIGN float s[kHeads * kMostRows];
  float keep[kHeads];
  next = head == 0 ? score_heads<kHeads>(a, stored, head, s, wide, next)
                   : score_heads<kHeads>(a, floats, head, s, nullptr, next);
  weigh_heads(a, head, kHeads, s, keep);
  next = mix_heads<kHeads>(a, floats.data, floats.stride, head, s, keep, next);
}

template <class Rows>
HWY_INLINE void attend_stored(const AttendRows& a, const Rows& stored) {
  thread_local Buffer<float> wide;
  if (Rows::kWiden) wide.resize(int64_t(kMostRows) * a.row.size());
  const RowsOfFloats floats{Rows::kWiden ? wide.data() : reinterpret_cast<const float*>(a.rows),
                            a.row.size()};
  const int groups = (a.heads + kGroupHeads - 1) / kGroupHeads;
  NextRows next(a,
                int64_t(groups) * a.count * (a.row.size() + a.row.coded) / (kTileTwo * kLanes) + 1);
  int head = 0;
  const auto groups_of = [&](auto heads) HWY_ATTR {
    for (; head + heads <= a.heads; head += heads)
      attend_heads<heads>(a, stored, floats, wide.data(), head, next);
  };
  groups_of(std::integral_constant<int, kGroupHeads>());
  if constexpr (kGroupHeads > 4) groups_of(std::integral_constant<int, 4>());
  groups_of(std::integral_constant<int, 2>());
  groups_of(std::integral_constant<int, 1>());
}

inline void attend_rows(const AttendRows& a) noexcept {
  const CacheRow& row = a.row;
  switch (row.format) {
    case CacheFormat::kF32:
      return attend_stored(
          a, RowsOfFloats{reinterpret_cast<const float*>(a.rows), int64_t(row.size())});
    case CacheFormat::kF16:
      return attend_stored(a, RowsOfF16{a.rows, row.bytes()});
    case CacheFormat::kInt8:
      return attend_stored(a, RowsOfInt8{a.rows, row.bytes(), row.coded, row.exact, row.blocks()});
  }
}

}  // namespace shenhong::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
