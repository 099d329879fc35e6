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
        const auto inside = hn::FirstN(d, size_t(left));
        hn::BlendedStore(add ? hn::Add(hn::MaskedLoad(inside, d, at), sums[r][v]) : sums[r][v],
                         inside, d, at);
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

// kLanes numbers of a panel as floats.
template <NumberFormat kFormat>
HWY_INLINE Vector load_numbers(const uint8_t* p) {
  const F d;
  if constexpr (kFormat == NumberFormat::kF32) {
    return hn::LoadU(d, reinterpret_cast<const float*>(p));
  } else if constexpr (kFormat == NumberFormat::kBF16) {
    const hn::Rebind<uint16_t, F> halves;
    const hn::Rebind<uint32_t, F> words;
    const auto bits = hn::LoadU(halves, reinterpret_cast<const uint16_t*>(p));
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(words, bits)));
  } else {
    return load_e4m3_over_256(p);
  }
}

template <NumberFormat kFormat, int kRows, int kVectors>
HWY_NOINLINE void float_tile(const PanelProduct& g, const PanelShape& shape, int m, int panel) {
  constexpr int kBytes = kFormat == NumberFormat::kF32 ? 4 : kFormat == NumberFormat::kBF16 ? 2 : 1;
  constexpr bool kScaled = kFormat == NumberFormat::kFP8;
  const F d;
  const uint8_t* base = g.w.bytes + panel * shape.bytes;
  const float* x = g.x + m * g.ldx;
  Vector sums[kRows][kVectors];
  unroll<kRows>([&](auto r) HWY_ATTR {
    unroll<kVectors>([&](auto v) HWY_ATTR { sums[r][v] = hn::Zero(d); });
  });
  for (int block = 0; block < shape.blocks; ++block) {
    Vector scales[kVectors];
    if constexpr (kScaled) {
      unroll<kVectors>([&](auto v) HWY_ATTR {
        float scale;
        std::memcpy(&scale, base + v / kPanelVectors * shape.bytes + shape.scales_at + 4 * block,
                    sizeof scale);
        scales[v] = hn::Set(d, scale * 256);
      });
    }
    const int end = std::min(g.w.cols, (block + 1) * shape.block);
    for (int k = block * shape.block; k < end; ++k) {
      Vector w[kVectors];
      unroll<kVectors>([&](auto v) HWY_ATTR {
        const uint8_t* at = base + v / kPanelVectors * shape.bytes +
                            (int64_t(k) * kPanelRows + v % kPanelVectors * kLanes) * kBytes;
        w[v] = load_numbers<kFormat>(at);
        if constexpr (kScaled) w[v] = hn::Mul(w[v], scales[v]);
      });
      unroll<kRows>([&](auto r) HWY_ATTR {
        const Vector xv = hn::Set(d, x[r * g.ldx + k]);
        unroll<kVectors>([&](auto v) HWY_ATTR { sums[r][v] = hn::MulAdd(xv, w[v], sums[r][v]); });
      });
    }
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
  return IntVector{_mm512_dpbusd_epi32(sum.raw, w.raw, x.raw)};
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
HWY_NOINLINE void int8_tile(const PanelProduct& g, const PanelShape& shape, int m, int panel) {
  constexpr bool kSmall = kFormat != NumberFormat::kInt8;
  constexpr bool kIntegers = kIsInteger<kFormat>, kHasOffsets = kFormat == NumberFormat::kUint4;
  constexpr int kBlock = kFormat == NumberFormat::kNVFP4 ? kNVFP4Block : kInt8Block;
  constexpr int kStepBytes = kPanelRows * 4;
  const F d;
  const Ints ints;
  const Bytes bytes;
  const uint8_t* base = g.w.bytes + panel * shape.bytes;
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
    const uint8_t* numbers = base + block * shape.block_bytes;
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
        hn::Vec<Unsigned> w[kVectors];
        unroll<kVectors>([&](auto v) HWY_ATTR {
          w[v] = hn::LoadU(Unsigned(), numbers + v / kPanelVectors * shape.bytes + at * kStepBytes +
                                           v % kPanelVectors * kLanes * 4);
        });
        step(at, w);
      }
    } else {
#pragma GCC unroll 1
      for (int at = 0; at < kBlock / 8; ++at) {
        hn::Vec<Unsigned> low[kVectors], high[kVectors];
        unroll<kVectors>([&](auto v) HWY_ATTR {
          const NibblePair<kFormat> pair(numbers + v / kPanelVectors * shape.bytes +
                                         at * kStepBytes + v % kPanelVectors * kLanes * 4);
          low[v] = pair.low;
          high[v] = pair.high;
        });
        step(2 * at, low);
        step(2 * at + 1, high);
      }
    }
    unroll<kVectors>([&](auto v) HWY_ATTR {
      constexpr int kScaleBytes = kIntegers ? 2 : 1;
      const uint8_t* at = base + v / kPanelVectors * shape.bytes + shape.scales_at +
                          block * shape.scale_bytes + v % kPanelVectors * kLanes * kScaleBytes;
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
constexpr int kMostRows = !takes_int8(kFormat)              ? (kManyRegisters ? 12 : 6)
                          : !kManyRegisters                 ? 2
                          : kFormat == NumberFormat::kNVFP4 ? 4
                                                            : 8;
constexpr int kWide = std::max(2, kPanelVectors), kWider = 2 * kWide;

template <NumberFormat kFormat, int kRows, int kVectors>
HWY_INLINE void run_panel_tile(const PanelProduct& g, const PanelShape& shape, int m, int panel) {
  if constexpr (takes_int8(kFormat)) {
    int8_tile<kFormat, kRows, kVectors>(g, shape, m, panel);
  } else {
    float_tile<kFormat, kRows, kVectors>(g, shape, m, panel);
  }
}

// All rows of x against kVectors vectors of outputs.
template <NumberFormat kFormat, int kVectors>
HWY_INLINE void run_panel_rows(const PanelProduct& g, const PanelShape& shape, int panel) {
  constexpr int kMost = kMostRows<kFormat>;
  int m = 0;
  for (; m + kMost <= g.M; m += kMost) run_panel_tile<kFormat, kMost, kVectors>(g, shape, m, panel);
  if constexpr (kMost > kFewerRows) {
    for (; m + kFewerRows <= g.M; m += kFewerRows)
      run_panel_tile<kFormat, kFewerRows, kVectors>(g, shape, m, panel);
  }
  if constexpr (kMost > 3) {
    if (g.M - m == 3) return run_panel_tile<kFormat, 3, kVectors>(g, shape, m, panel);
  }
  if constexpr (kMost > 2) {
    if (g.M - m == 2) return run_panel_tile<kFormat, 2, kVectors>(g, shape, m, panel);
  }
  for (; m < g.M; ++m) run_panel_tile<kFormat, 1, kVectors>(g, shape, m, panel);
}

template <NumberFormat kFormat>
void run_panels(const PanelProduct& g) {
  const PanelShape shape = panel_shape(kFormat, g.w.cols);
  int panel = g.first;
  if (g.M <= 2) {
    constexpr int kPanels = kWider / kPanelVectors;
    for (; panel + kPanels <= g.last; panel += kPanels) {
      if (g.M == 1) {
        run_panel_tile<kFormat, 1, kWider>(g, shape, 0, panel);
      } else {
        run_panel_tile<kFormat, 2, kWider>(g, shape, 0, panel);
      }
    }
  }
  constexpr int kPanels = kWide / kPanelVectors;
  for (; panel + kPanels <= g.last; panel += kPanels)
    run_panel_rows<kFormat, kWide>(g, shape, panel);
  for (; panel < g.last; ++panel) run_panel_rows<kFormat, kPanelVectors>(g, shape, panel);
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
