// Products of activations with weights in panels (panels.h), compiled once per instruction set, in
// a file of their own beside simd.cpp's because compiling takes long.
#include "kernels/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/panels_simd.cpp"
#include "hwy/foreach_target.h"  // compiles the rest of this file once per instruction set

// clang-format off: Highway wants this order
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
// clang-format on

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
#include "kernels/kernels.h"
#include "kernels/panels_simd-inl.h"
#include "kernels/tail-inl.h"
#include "kernels/tile-inl.h"

HWY_BEFORE_NAMESPACE();
#if HWY_TARGET == HWY_AVX3_DL && HWY_COMPILER_GCC_ACTUAL
#pragma GCC target("avx512vnni")  // Highway asks for it by its name on client processors only
#endif
namespace shenhong::HWY_NAMESPACE {

static_assert(kLanes <= kPanelRows);
constexpr int kPanelVectors = kPanelRows / kLanes;

// A tile's outputs: columns [0, columns) of kVectors vectors.
template <int kRows, int kVectors>
HWY_INLINE void write_sums(const Vector (&sums)[kRows][kVectors], const PanelProduct& g, int m,
                           int panel) {
  const F d;
  float* y = g.y + int64_t(m) * g.ldy + int64_t(panel) * kPanelRows;
  const int columns = g.w.rows - panel * kPanelRows;
  const bool add = g.accumulate;
  unroll<kRows>([&](auto r) HWY_ATTR {
    unroll<kVectors>([&](auto v) HWY_ATTR {
      float* at = y + r * g.ldy + v * kLanes;
      const int left = columns - v * kLanes;
      if (left >= kLanes) {
        hn::StoreU(add ? hn::Add(hn::LoadU(d, at), sums[r][v]) : sums[r][v], d, at);
      } else if (left > 0) {
        const Tail tail{size_t(left)};
        tail.store(add ? hn::Add(tail.load(at), sums[r][v]) : sums[r][v], at);
      }
    });
  });
}

// kLanes E4M3 codes as floats, 2^8 too small: what is left of them as an f16 is exact.
HWY_INLINE Vector load_e4m3_over_256(const uint8_t* p) {
  const hn::Rebind<uint8_t, F> bytes;
  const hn::Rebind<uint16_t, F> halves;
  const hn::Rebind<hwy::float16_t, F> f16;
  const auto code = hn::PromoteTo(halves, hn::LoadU(bytes, p));
  const auto sign = hn::ShiftLeft<8>(hn::And(code, hn::Set(halves, 0x80)));
  const auto rest = hn::ShiftLeft<7>(hn::And(code, hn::Set(halves, 0x7f)));
  return hn::PromoteTo(F(), hn::BitCast(f16, hn::Or(sign, rest)));
}

// How far ahead of its use a panel's memory is asked for: what arrives while memory answers.
constexpr int64_t kAhead = 2048;

// A tile's panels, and those that are read after them; handed on by reference, for a copy by
// vectors would wait until the stores of the tile before have left. Each is a stream of its own, a
// few pages long, and hardware sees a stream coming only to the end of its page.
struct Stream {
  const uint8_t* base;
  const uint8_t* next;
  int64_t panel_bytes;

  const uint8_t* at(int panel, int64_t offset) const { return base + panel * panel_bytes + offset; }
  // Asks for what follows `offset`: at the end of a panel that is the next one's beginning.
  template <int kPanels>
  HWY_INLINE void fetch(int64_t offset) const {
    const int64_t ahead = offset + kAhead, over = ahead - panel_bytes;
    prefetch<kPanels>(over < 0 ? base + ahead : next + over);
  }
  // For what is read more slowly than its panel.
  template <int kPanels>
  HWY_INLINE void fetch_next(int64_t offset) const {
    prefetch<kPanels>(next + offset);
  }

 private:
  // Written out: of a loop whose body has no other effect the compiler makes nothing.
  template <int kPanels>
  HWY_INLINE void prefetch(const uint8_t* p) const {
    hwy::Prefetch(p);
    if constexpr (kPanels > 1) hwy::Prefetch(p + panel_bytes);
    if constexpr (kPanels > 2) {
      hwy::Prefetch(p + 2 * panel_bytes);
      hwy::Prefetch(p + 3 * panel_bytes);
    }
    static_assert(kPanels == 1 || kPanels == 2 || kPanels == 4);
  }
};

// kLanes numbers of a panel as floats.
template <NumberFormat kFormat>
HWY_INLINE Vector load_numbers(const uint8_t* p) {
  const F d;
  if constexpr (kFormat == NumberFormat::kF32) {
    return hn::LoadU(d, reinterpret_cast<const float*>(p));
  } else {
    const hn::Rebind<uint16_t, F> halves;
    const hn::Rebind<uint32_t, F> words;
    const auto bits = hn::LoadU(halves, reinterpret_cast<const uint16_t*>(p));
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(words, bits)));
  }
}

// f32 and bf16.
template <NumberFormat kFormat, int kRows, int kVectors>
HWY_NOINLINE void float_tile(const PanelProduct& g, const Stream& stream, int m, int panel) {
  constexpr int kBytes = kFormat == NumberFormat::kF32 ? 4 : 2;
  const F d;
  const float* x = g.x + m * g.ldx;
  Vector sums[kRows][kVectors];
  unroll<kRows>([&](auto r) HWY_ATTR {
    unroll<kVectors>([&](auto v) HWY_ATTR { sums[r][v] = hn::Zero(d); });
  });
  for (int k = 0; k < g.w.cols; ++k) {
    const int64_t offset = int64_t(k) * kPanelRows * kBytes;
    stream.fetch<kVectors / kPanelVectors>(offset);
    Vector w[kVectors];
    unroll<kVectors>([&](auto v) HWY_ATTR {
      w[v] = load_numbers<kFormat>(
          stream.at(v / kPanelVectors, offset + v % kPanelVectors * kLanes * kBytes));
    });
    unroll<kRows>([&](auto r) HWY_ATTR {
      const Vector xv = hn::Set(d, x[r * g.ldx + k]);
      unroll<kVectors>([&](auto v) HWY_ATTR { sums[r][v] = hn::MulAdd(xv, w[v], sums[r][v]); });
    });
  }
  write_sums(sums, g, m, panel);
}

using Halves = hn::Repartition<uint16_t, F>;

// E4M3 codes in the upper bytes as f16 bits of 2^-8 of their values, which are exact: the exponents
// of E4M3 lie one place lower, and its smallest numbers are subnormal in f16 as well.
HWY_INLINE hn::Vec<Halves> e4m3_as_f16(hn::Vec<Halves> codes) {
  const hn::RebindToSigned<Halves> ints;
  const auto shifted = hn::BitCast(Halves(), hn::ShiftRight<1>(hn::BitCast(ints, codes)));
  return hn::And(shifted, hn::Set(Halves(), uint16_t{0xbf80}));
}

// Codes of kFP8Step columns of one panel as f16.
struct FP8Step {
  static constexpr int kHalves = kPanelRows / kLanes;
  hn::Vec<Halves> even[kHalves], odd[kHalves];  // columns

  FP8Step() = default;
  explicit HWY_INLINE FP8Step(const uint8_t* p) {
    unroll<kHalves>([&](auto i) HWY_ATTR {
      const auto pairs = hn::LoadU(Halves(), reinterpret_cast<const uint16_t*>(p) + i * 2 * kLanes);
      even[i] = e4m3_as_f16(hn::ShiftLeft<8>(pairs));
      odd[i] = e4m3_as_f16(pairs);
    });
  }

  // kLanes rows of a column.
  template <int kColumn, int kVector>
  HWY_INLINE Vector floats() const {
    constexpr int kPlace = kColumn / 2 * kPanelVectors + kVector;
    const auto& column = kColumn % 2 == 0 ? even : odd;
    const hn::Rebind<hwy::float16_t, F> f16;
    const hn::Half<Halves> half;
    if constexpr (kPlace % 2 == 0) {
      return hn::PromoteTo(F(), hn::BitCast(f16, hn::LowerHalf(half, column[kPlace / 2])));
    } else {
      return hn::PromoteTo(F(), hn::BitCast(f16, hn::UpperHalf(half, column[kPlace / 2])));
    }
  }
};

// A chain over the columns of each block, then a chain over the blocks.
template <int kRows, int kVectors>
HWY_NOINLINE void fp8_tile(const PanelProduct& g, const Stream& stream, int m, int panel) {
  constexpr int kPanels = kVectors / kPanelVectors;
  const F d;
  const PanelShape shape = panel_shape(NumberFormat::kFP8, g.w.cols);
  Vector sums[kRows][kVectors], part[kRows][kVectors];
  const auto zero = [&](Vector(&to)[kRows][kVectors]) HWY_ATTR {
    unroll<kRows>([&](auto r) HWY_ATTR {
      unroll<kVectors>([&](auto v) HWY_ATTR { to[r][v] = hn::Zero(d); });
    });
  };
  zero(sums);
  const float* x = g.x + m * g.ldx;
  for (int block = 0; block < shape.blocks; ++block) {
    zero(part);
    const int end = std::min(g.w.cols, (block + 1) * kFP8Block);
#pragma GCC unroll 1
    for (int k = block * kFP8Block; k < end; k += kFP8Step) {
      const float* xk = x + k;
      int64_t ldx = g.ldx;
      float rest[kRows * kFP8Step] = {};
      if (end - k < kFP8Step) {
        for (int r = 0; r < kRows; ++r)
          std::copy(xk + r * ldx, xk + r * ldx + (end - k), rest + r * kFP8Step);
        xk = rest;
        ldx = kFP8Step;
      }
      const int64_t offset = int64_t(k) * kPanelRows;
      stream.fetch<kPanels>(offset);
      FP8Step codes[kPanels];
      unroll<kPanels>([&](auto p) HWY_ATTR { codes[p] = FP8Step(stream.at(p, offset)); });
      unroll<kFP8Step>([&](auto column) HWY_ATTR {
        Vector w[kVectors];
        unroll<kVectors>([&](auto v) HWY_ATTR {
          w[v] = codes[v / kPanelVectors].template floats<column, v % kPanelVectors>();
        });
        unroll<kRows>([&](auto r) HWY_ATTR {
          const Vector xv = hn::Set(d, xk[r * ldx + column]);
          unroll<kVectors>([&](auto v) HWY_ATTR { part[r][v] = hn::MulAdd(xv, w[v], part[r][v]); });
        });
      });
    }
    unroll<kVectors>([&](auto v) HWY_ATTR {
      float scale;
      std::memcpy(&scale, stream.at(v / kPanelVectors, shape.scales_at + 4 * block), sizeof scale);
      const Vector scales = hn::Set(d, scale * 256);
      unroll<kRows>([&](auto r)
                        HWY_ATTR { sums[r][v] = hn::MulAdd(part[r][v], scales, sums[r][v]); });
    });
  }
  write_sums(sums, g, m, panel);
}

using Ints = hn::Rebind<int32_t, F>;
using Bytes = hn::Repartition<int8_t, Ints>;
using Unsigned = hn::Repartition<uint8_t, Ints>;
using IntVector = hn::Vec<Ints>;

// sum + Σ of four products, lane by lane. kSmall: no w is above 64, so that pairs of products fit
// 16 bits, which is where processors without VNNI keep them.
template <bool kSmall>
HWY_INLINE IntVector byte_dots(IntVector sum, hn::Vec<Unsigned> w, hn::Vec<Bytes> x) {
#if HWY_TARGET == HWY_AVX3_DL
  // The intrinsic's type is another vector type than the sum's: the compiler would copy every sum
  // before and after, and issue twice as many instructions.
  asm("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(w.raw), "v"(x.raw));
  return sum;
#elif HWY_ARCH_X86
  const Bytes bytes;
  if constexpr (!kSmall) {
    // |w - 128| times x with the sign of w - 128 instead.
    const auto value = hn::Xor(hn::BitCast(bytes, w), hn::Set(bytes, int8_t(-128)));
    x = hn::IfThenElse(hn::Lt(value, hn::Zero(bytes)), hn::Neg(x), x);
    w = hn::BitCast(Unsigned(), hn::Abs(value));
  }
#if HWY_TARGET == HWY_AVX3
  const __m512i pairs = _mm512_maddubs_epi16(w.raw, x.raw);
  return hn::Add(sum, IntVector{_mm512_madd_epi16(pairs, _mm512_set1_epi16(1))});
#else
  const __m256i pairs = _mm256_maddubs_epi16(w.raw, x.raw);
  return hn::Add(sum, IntVector{_mm256_madd_epi16(pairs, _mm256_set1_epi16(1))});
#endif
#else
  // Bytes at even and at odd places as 16 bits each; two products of magnitude 127² fit.
  const hn::Repartition<int16_t, Ints> halves;
  const Ints ints;
  const auto even = [&](auto v) HWY_ATTR {
    return hn::ShiftRight<8>(hn::ShiftLeft<8>(hn::BitCast(halves, v)));
  };
  const auto odd = [&](auto v) HWY_ATTR { return hn::ShiftRight<8>(hn::BitCast(halves, v)); };
  if constexpr (!kSmall) w = hn::Xor(w, hn::Set(Unsigned(), uint8_t(0x80)));  // w - 128, signed
  const auto pairs = hn::BitCast(ints, hn::Add(hn::Mul(even(w), even(x)), hn::Mul(odd(w), odd(x))));
  return hn::Add(sum,
                 hn::Add(hn::ShiftRight<16>(hn::ShiftLeft<16>(pairs)), hn::ShiftRight<16>(pairs)));
#endif
}

// What the stored integers' offset adds to a dot product, as far as byte_dots leaves it in.
template <NumberFormat kFormat>
constexpr int kOffset = kFormat == NumberFormat::kUint4  ? 0
                        : kFormat == NumberFormat::kInt4 ? kInt4Offset
                        : kFormat != NumberFormat::kInt8 ? kE2M1Offset
                        : HWY_TARGET == HWY_AVX3_DL      ? kInt8Offset
                                                         : 0;

template <NumberFormat kFormat>
constexpr bool kIsInteger = kFormat == NumberFormat::kInt8 || kFormat == NumberFormat::kInt4 ||
                            kFormat == NumberFormat::kUint4;

// The scales of kLanes rows.
template <NumberFormat kFormat>
HWY_INLINE Vector load_scales(const uint8_t* p) {
  const F d;
  if constexpr (kIsInteger<kFormat>) {
    const hn::Rebind<hwy::float16_t, F> f16;
    return hn::PromoteTo(d, hn::LoadU(f16, reinterpret_cast<const hwy::float16_t*>(p)));
  } else if constexpr (kFormat == NumberFormat::kNVFP4) {
    return load_e4m3_over_256(p);
  } else {
    const hn::Rebind<uint8_t, F> bytes;
    const hn::Rebind<uint32_t, F> words;
    return hn::BitCast(d, hn::ShiftLeft<23>(hn::PromoteTo(words, hn::LoadU(bytes, p))));
  }
}

// The 64 bytes that hold steps 2i and 2i + 1 of a block of four-bit numbers, one vector's part.
template <NumberFormat kFormat>
struct NibblePair {
  hn::Vec<Unsigned> low, high;  // with the offset added

  explicit HWY_INLINE NibblePair(const uint8_t* p) {
    const Unsigned d;
    const auto packed = hn::LoadU(d, p), mask = hn::Set(d, uint8_t(15));
    const hn::Repartition<uint16_t, Unsigned> halves;
    const auto shifted = hn::BitCast(d, hn::ShiftRight<4>(hn::BitCast(halves, packed)));
    low = hn::And(packed, mask);
    high = hn::And(shifted, mask);
    if constexpr (!kIsInteger<kFormat>) {
      alignas(16) static constexpr uint8_t kCodes[16] = {12, 13, 14, 15, 16, 18, 20, 24,
                                                         12, 11, 10, 9,  8,  6,  4,  0};
      const auto codes = hn::LoadDup128(d, kCodes);
      low = hn::TableLookupBytes(codes, low);
      high = hn::TableLookupBytes(codes, high);
    }
  }
};

template <NumberFormat kFormat, int kRows, int kVectors>
HWY_NOINLINE void int8_tile(const PanelProduct& g, const Stream& stream, int m, int panel) {
  constexpr bool kSmall = kFormat != NumberFormat::kInt8;
  constexpr bool kIntegers = kIsInteger<kFormat>, kHasOffsets = kFormat == NumberFormat::kUint4;
  constexpr int kBlock = kFormat == NumberFormat::kNVFP4 ? kNVFP4Block : kInt8Block;
  constexpr int kStepBytes = kPanelRows * 4;
  const F d;
  const Ints ints;
  const Bytes bytes;
  const PanelShape shape = panel_shape(kFormat, g.w.cols);
  constexpr int kPanels = kVectors / kPanelVectors;
  const int64_t K = g.w.cols;
  Vector sums[kRows][kVectors];
  unroll<kRows>([&](auto r) HWY_ATTR {
    unroll<kVectors>([&](auto v) HWY_ATTR { sums[r][v] = hn::Zero(d); });
  });
  for (int block = 0; block < shape.blocks; ++block) {
    IntVector dots[kRows][kVectors];
    int inputs[kRows] = {};  // their sum over the block
    const int8_t* q = g.q.q + m * K + block * kBlock;
    unroll<kRows>([&](auto r) HWY_ATTR {
      if constexpr (kOffset<kFormat> != 0 || kHasOffsets) {
        const int32_t* part = g.q.sum + (m + r) * (K / 16) + block * (kBlock / 16);
        inputs[r] = part[0];
        if constexpr (kBlock == 32) inputs[r] += part[1];
      }
      unroll<kVectors>([&](auto v)
                           HWY_ATTR { dots[r][v] = hn::Set(ints, -kOffset<kFormat> * inputs[r]); });
    });
    const int64_t numbers = block * shape.block_bytes;
    const auto step = [&](int at, const hn::Vec<Unsigned>* w) HWY_ATTR {
      unroll<kRows>([&](auto r) HWY_ATTR {
        int32_t four;
        std::memcpy(&four, q + r * K + 4 * at, sizeof four);
        const auto x = hn::BitCast(bytes, hn::Set(ints, four));
        unroll<kVectors>([&](auto v)
                             HWY_ATTR { dots[r][v] = byte_dots<kSmall>(dots[r][v], w[v], x); });
      });
    };
    // Left as loops: unrolled, the compiler gathers the activations of all steps and runs out of
    // registers.
    if constexpr (kFormat == NumberFormat::kInt8) {
#pragma GCC unroll 1
      for (int at = 0; at < kBlock / 4; ++at) {
        const int64_t offset = numbers + at * kStepBytes;
        stream.fetch<kPanels>(offset);
        hn::Vec<Unsigned> w[kVectors];
        unroll<kVectors>([&](auto v) HWY_ATTR {
          w[v] = hn::LoadU(Unsigned(),
                           stream.at(v / kPanelVectors, offset + v % kPanelVectors * kLanes * 4));
        });
        step(at, w);
      }
    } else {
#pragma GCC unroll 1
      for (int at = 0; at < kBlock / 8; ++at) {
        const int64_t offset = numbers + at * kStepBytes;
        stream.fetch<kPanels>(offset);
        hn::Vec<Unsigned> low[kVectors], high[kVectors];
        unroll<kVectors>([&](auto v) HWY_ATTR {
          const NibblePair<kFormat> pair(
              stream.at(v / kPanelVectors, offset + v % kPanelVectors * kLanes * 4));
          low[v] = pair.low;
          high[v] = pair.high;
        });
        step(2 * at, low);
        step(2 * at + 1, high);
      }
    }
    const int64_t scales_at = shape.scales_at + block * shape.scale_bytes;
    stream.fetch_next<kPanels>(scales_at);
    unroll<kVectors>([&](auto v) HWY_ATTR {
      constexpr int kScaleBytes = kIntegers ? 2 : 1;
      const uint8_t* at =
          stream.at(v / kPanelVectors, scales_at + v % kPanelVectors * kLanes * kScaleBytes);
      const Vector scales = load_scales<kFormat>(at);
      [[maybe_unused]] Vector offsets;
      if constexpr (kHasOffsets) offsets = load_scales<kFormat>(at + kPanelRows * kScaleBytes);
      unroll<kRows>([&](auto r) HWY_ATTR {
        const float scale = g.q.scale[(m + r) * (K / kInt8Block) + block * kBlock / kInt8Block];
        sums[r][v] = hn::MulAdd(hn::ConvertTo(d, dots[r][v]), hn::Mul(scales, hn::Set(d, scale)),
                                sums[r][v]);
        if constexpr (kHasOffsets)
          sums[r][v] = hn::MulAdd(offsets, hn::Set(d, float(inputs[r]) * scale), sums[r][v]);
      });
    });
  }
  // 2·E2M1 was multiplied, and E4M3 scales are 2^8 too small.
  if constexpr (!kIntegers) {
    const float rest = kFormat == NumberFormat::kNVFP4 ? 128 * g.w.scale : 0.5f;
    unroll<kRows>([&](auto r) HWY_ATTR {
      unroll<kVectors>([&](auto v)
                           HWY_ATTR { sums[r][v] = hn::Mul(sums[r][v], hn::Set(d, rest)); });
    });
  }
  write_sums(sums, g, m, panel);
}

// Most rows of a tile: their sums, the weights and what unpacking them takes fill the registers.
// One row alone, or two, take more panels at once, for their chains are short of company. What
// tiles leave over is a tile of its own: each reads the weights, which a step with a few drafts
// would otherwise do as often as it has rows.
constexpr int kFewerRows = 4;
template <NumberFormat kFormat>
constexpr int kMostRows = kFormat == NumberFormat::kFP8     ? (kManyRegisters ? 8 : 6)
                          : !takes_int8(kFormat)            ? (kManyRegisters ? 12 : 6)
                          : !kManyRegisters                 ? 2
                          : kFormat == NumberFormat::kNVFP4 ? 6
                          : kFormat == NumberFormat::kUint4 ? 6
                                                            : 8;
constexpr int kWide = std::max(2, kPanelVectors), kWider = 2 * kWide;

template <NumberFormat kFormat, int kRows, int kVectors>
HWY_INLINE void run_panel_tile(const PanelProduct& g, const Stream& stream, int m, int panel) {
  if constexpr (takes_int8(kFormat)) {
    int8_tile<kFormat, kRows, kVectors>(g, stream, m, panel);
  } else if constexpr (kFormat == NumberFormat::kFP8) {
    fp8_tile<kRows, kVectors>(g, stream, m, panel);
  } else {
    float_tile<kFormat, kRows, kVectors>(g, stream, m, panel);
  }
}

// All rows of x against kVectors vectors of outputs.
template <NumberFormat kFormat, int kVectors>
HWY_INLINE void run_panel_rows(const PanelProduct& g, const Stream& stream, int panel) {
  constexpr int kMost = kMostRows<kFormat>;
  int m = 0;
  for (; m + kMost <= g.M; m += kMost)
    run_panel_tile<kFormat, kMost, kVectors>(g, stream, m, panel);
  if constexpr (kMost > kFewerRows) {
    for (; m + kFewerRows <= g.M; m += kFewerRows)
      run_panel_tile<kFormat, kFewerRows, kVectors>(g, stream, m, panel);
  }
  if constexpr (kMost > 3) {
    if (g.M - m == 3) return run_panel_tile<kFormat, 3, kVectors>(g, stream, m, panel);
  }
  if constexpr (kMost > 2) {
    if (g.M - m == 2) return run_panel_tile<kFormat, 2, kVectors>(g, stream, m, panel);
  }
  for (; m < g.M; ++m) run_panel_tile<kFormat, 1, kVectors>(g, stream, m, panel);
}

template <NumberFormat kFormat>
void run_panels(const PanelProduct& g) {
  const int64_t bytes = panel_shape(kFormat, g.w.cols).bytes;
  // Without anything to come, what is read anyway.
  const auto stream = [&](int panel, int panels) {
    const uint8_t* base = g.w.bytes + panel * bytes;
    return Stream{base,
                  panel + panels < g.last ? base + panels * bytes
                  : g.next                ? g.next
                                          : base,
                  bytes};
  };
  int panel = g.first;
  if (g.M <= 2) {
    constexpr int kPanels = kWider / kPanelVectors;
    for (; panel + kPanels <= g.last; panel += kPanels) {
      if (g.M == 1) {
        run_panel_tile<kFormat, 1, kWider>(g, stream(panel, kPanels), 0, panel);
      } else {
        run_panel_tile<kFormat, 2, kWider>(g, stream(panel, kPanels), 0, panel);
      }
    }
  }
  constexpr int kPanels = kWide / kPanelVectors;
  for (; panel + kPanels <= g.last; panel += kPanels)
    run_panel_rows<kFormat, kWide>(g, stream(panel, kPanels), panel);
  for (; panel < g.last; ++panel)
    run_panel_rows<kFormat, kPanelVectors>(g, stream(panel, 1), panel);
}

void panel_product(const PanelProduct& g) noexcept {
  switch (g.w.format) {
    case NumberFormat::kF32:
      return run_panels<NumberFormat::kF32>(g);
    case NumberFormat::kBF16:
      return run_panels<NumberFormat::kBF16>(g);
    case NumberFormat::kFP8:
      return run_panels<NumberFormat::kFP8>(g);
    case NumberFormat::kInt8:
      return run_panels<NumberFormat::kInt8>(g);
    case NumberFormat::kInt4:
      return run_panels<NumberFormat::kInt4>(g);
    case NumberFormat::kNVFP4:
      return run_panels<NumberFormat::kNVFP4>(g);
    case NumberFormat::kMXFP4:
      return run_panels<NumberFormat::kMXFP4>(g);
    case NumberFormat::kUint4:
      return run_panels<NumberFormat::kUint4>(g);
  }
}

// One block of 32: x -> q, returns the scale; sums per 16.
HWY_INLINE float quantize_block(const float* x, int8_t* q, int32_t* sum) {
  const F d;
  const hn::Rebind<int32_t, F> ints;
  auto top = hn::Zero(d);
  for (int i = 0; i < kInt8Block; i += kLanes) top = hn::Max(top, hn::Abs(hn::LoadU(d, x + i)));
  const float most = hn::GetLane(hn::MaxOfLanes(d, top));
  const auto factor = hn::Set(d, most > 0 ? 127 / most : 0.0f);
  const hn::Rebind<int8_t, F> bytes;
  for (int half = 0; half < 2; ++half) {
    auto total = hn::Zero(ints);
    for (int i = half * 16; i < half * 16 + 16; i += kLanes) {
      const auto whole = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i), factor));
      total = hn::Add(total, whole);
      hn::StoreU(hn::DemoteTo(bytes, whole), bytes, q + i);
    }
    sum[half] = hn::GetLane(hn::SumOfLanes(ints, total));
  }
  return most / 127;
}

void quantize_rows(const float* x, int64_t ldx, int M, int K, int8_t* q, float* scale,
                   int32_t* sum) noexcept {
  for (int m = 0; m < M; ++m, x += ldx)
    for (int k = 0; k < K; k += kInt8Block, q += kInt8Block, sum += 2)
      *scale++ = quantize_block(x + k, q, sum);
}

}  // namespace shenhong::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
