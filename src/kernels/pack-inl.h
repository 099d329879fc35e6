// Copies of parts of the operands in the order the tiles read them. Compiled once per instruction
// set; included by gemm-inl.h.
#include <algorithm>
#include <cstdint>

#include "core/buffer.h"
#include "hwy/highway.h"
#include "kernels/tail-inl.h"
#include "kernels/tile-inl.h"

#if defined(SHENHONG_KERNELS_PACK_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef SHENHONG_KERNELS_PACK_INL_H
#undef SHENHONG_KERNELS_PACK_INL_H
#else
#define SHENHONG_KERNELS_PACK_INL_H
#endif

HWY_BEFORE_NAMESPACE();
namespace shenhong::HWY_NAMESPACE {

// The most columns of a block of B: with kDepth it takes three quarters of a 1 MiB second-level
// cache, and a panel of it streams through the first level past the staged rows of A.
constexpr int kBlockColumns = 384;

// Strips of A [K,M] that are staged together: three whole cache lines of every row.
constexpr int kStripsAtOnce = 8;
static_assert(kStripsAtOnce * kTileRows * sizeof(float) == 3 * 64);

// From one staged strip of A [K,M] to the next: they are written side by side, so they must not
// fall into the same sets of the cache.
constexpr int strip_stride(int depth) { return depth * kAcrossStride + 16; }

// Lines of an operand that are asked for while tiles compute, so that copying them later waits for
// no memory: rows lie in different pages, which no processor foresees.
class Ahead {
 public:
  Ahead() = default;
  Ahead(const float* first, int64_t stride, int rows, int length)
      : row_(first), stride_(stride), rows_(rows), length_(length) {}

  int lines() const { return rows_ * ((length_ + kLine - 1) / kLine); }

  void ask(int lines) {
    for (; lines > 0 && rows_ > 0; --lines) {
      hwy::Prefetch(row_ + at_);
      at_ += kLine;
      if (at_ < length_) continue;
      at_ = 0;
      row_ += stride_;
      --rows_;
    }
  }

 private:
  static constexpr int kLine = 64 / sizeof(float);
  const float* row_ = nullptr;
  int64_t stride_ = 0;
  int rows_ = 0, length_ = 0, at_ = 0;
};

// kStripsAtOnce strips or, of A [M,K], one.
inline float* staged_a() {
  thread_local Buffer<float> buffer(
      std::max(kTileRows * kRowStride, kStripsAtOnce * strip_stride(kDepth)));
  return buffer.data();
}

// A [M,K] -> out[row·kRowStride + k]
HWY_INLINE void stage_along(const float* a, int64_t lda, int rows, int depth, float* out) {
  const F d;
  const int whole = depth / kLanes * kLanes;
  for (int k = 0; k < whole; k += kLanes)
    for (int r = 0; r < rows; ++r)
      hn::StoreU(hn::LoadU(d, a + r * lda + k), d, out + r * kRowStride + k);
  if (whole == depth) return;
  const Tail tail{size_t(depth - whole)};
  for (int r = 0; r < rows; ++r)
    hn::StoreU(tail.load(a + r * lda + whole), d, out + r * kRowStride + whole);
}

// Rows of an operand that are asked for ahead of the one that is copied.
constexpr int kRowsAhead = 8;

// A [K,M] -> strips of kTileRows rows, out[strip·strip_stride + k·kAcrossStride + row]. Up to
// kStripsAtOnce strips; of the last row nothing is read beyond `rows`.
HWY_INLINE void stage_across(const float* a, int64_t lda, int rows, int depth, float* out) {
  const hn::CappedTag<float, kAcrossStride> d;
  constexpr int kStep = int(hn::MaxLanes(d));
  const int64_t stride = strip_stride(depth);
  // A whole vector may be read where the next strip or the next row follows it.
  const int whole = rows < kAcrossStride ? 0 : (rows - kAcrossStride) / kTileRows + 1;
  for (int k = 0; k < depth; ++k, a += lda, out += kAcrossStride) {
    for (int r = 0; r < rows; r += 16) hwy::Prefetch(a + kRowsAhead * lda + r);
    float* to = out;
    const float* from = a;
    for (int s = 0; s < whole; ++s, to += stride, from += kTileRows)
      for (int i = 0; i < kAcrossStride; i += kStep) hn::Store(hn::LoadU(d, from + i), d, to + i);
    for (int left = rows - whole * kTileRows; left > 0;
         left -= kTileRows, to += stride, from += kTileRows)
      std::copy_n(from, std::min(left, kTileRows), to);
  }
}

// The packed block of B: panels of kTileColumns columns, [panel][k][column], the last one filled up
// with zeros to whole vectors.
inline float* packed_b() {
  thread_local Buffer<float> buffer(int64_t(kDepth) * kBlockColumns);
  return buffer.data();
}

// B [K,N]
inline void pack_rows(const float* b, int64_t ldb, int columns, int depth, float* out) {
  const F d;
  for (int k = 0; k < depth; ++k, b += ldb) {
    for (int n = 0; n < columns; n += kLanes) {
      const int panel = n / kTileColumns, column = n % kTileColumns, left = columns - n;
      hwy::Prefetch(b + kRowsAhead * ldb + n);
      float* to = out + (int64_t(panel) * depth + k) * kTileColumns + column;
      hn::Store(left >= kLanes ? hn::LoadU(d, b + n) : Tail{size_t(left)}.load(b + n), d, to);
    }
  }
}

// Vector whose 128-bit block j holds p[4j·stride .. 4j·stride + 3].
template <class D>
HWY_INLINE hn::Vec<D> load_blocks(D d, const float* p, int64_t stride) {
  if constexpr (hn::MaxLanes(D()) == 4) {
    return hn::LoadU(d, p);
  } else {
    const hn::Half<D> half;
    return hn::Combine(d, load_blocks(half, p + int64_t(hn::MaxLanes(d) / 2) * stride, stride),
                       load_blocks(half, p, stride));
  }
}

// out[i] = column i of four columns of kLanes rows: lane r holds p[r·stride + i].
HWY_INLINE void load_transposed(const float* p, int64_t stride, Vector out[4]) {
  const F d;
  const hn::Repartition<double, F> pairs;
  const Vector r0 = load_blocks(d, p, stride), r1 = load_blocks(d, p + stride, stride),
               r2 = load_blocks(d, p + 2 * stride, stride),
               r3 = load_blocks(d, p + 3 * stride, stride);
  const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(d, r0, r1));
  const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(d, r2, r3));
  const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(d, r0, r1));
  const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(d, r2, r3));
  out[0] = hn::BitCast(d, hn::InterleaveLower(pairs, low01, low23));
  out[1] = hn::BitCast(d, hn::InterleaveUpper(pairs, low01, low23));
  out[2] = hn::BitCast(d, hn::InterleaveLower(pairs, high01, high23));
  out[3] = hn::BitCast(d, hn::InterleaveUpper(pairs, high01, high23));
}

// Lane r holds p[r·stride], r < rows; the others zero.
HWY_INLINE Vector gather_rows(const float* p, int64_t stride, int rows) {
  const F d;
  HWY_ALIGN float lanes[kLanes] = {};
  for (int r = 0; r < rows; ++r) lanes[r] = p[r * stride];
  return hn::Load(d, lanes);
}

// B [N,K]
inline void pack_transposed(const float* b, int64_t ldb, int columns, int depth, float* out) {
  const F d;
  for (int n = 0; n < columns; n += kLanes) {
    const int panel = n / kTileColumns, column = n % kTileColumns;
    float* to = out + int64_t(panel) * depth * kTileColumns + column;
    const int rows = std::min(columns - n, kLanes);
    const float* from = b + n * ldb;
    const int whole = rows == kLanes ? depth / 4 * 4 : 0;
    for (int k = 0; k < whole; k += 4) {
      Vector v[4];
      load_transposed(from + k, ldb, v);
      unroll<4>([&](auto i) HWY_ATTR { hn::Store(v[i], d, to + (k + i) * kTileColumns); });
    }
    for (int k = whole; k < depth; ++k)
      hn::Store(gather_rows(from + k, ldb, rows), d, to + k * kTileColumns);
  }
}

}  // namespace shenhong::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
