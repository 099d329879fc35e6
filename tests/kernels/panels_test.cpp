// Products with weights in panels: every table against the definition, the definition against plain
// sums over the dequantised weight, the formats' errors against their bands (techniques 0 and 3.5).
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <vector>

#include "core/floats.h"
#include "kernels/closeness.h"
#include "kernels/fenced.h"
#include "kernels/kernels.h"
#include "kernels/quantized_matrix.h"
#include "kernels/tables.h"

namespace shenhong {
namespace {

constexpr NumberFormat kFormats[] = {
    NumberFormat::kF32,  NumberFormat::kBF16,  NumberFormat::kFP8,   NumberFormat::kInt8,
    NumberFormat::kInt4, NumberFormat::kNVFP4, NumberFormat::kMXFP4, NumberFormat::kUint4};
constexpr float kGuard = 12345;

struct Activations {
  int M, K;
  Buffer<float> x;
  Buffer<int8_t> q;
  Buffer<float> scale;
  Buffer<int32_t> sum;

  Activations(int M_, int K_, Buffer<float> values) : M(M_), K(K_), x(std::move(values)) {}
  void quantize(const Kernels<float>& table) {
    q.resize(int64_t(M) * K);
    scale.resize(int64_t(M) * K / kInt8Block);
    sum.resize(int64_t(M) * K / 16);
    table.quantize_rows(x.data(), K, M, K, q.data(), scale.data(), sum.data());
  }
  Int8Rows int8_rows() const { return {q.data(), scale.data(), sum.data()}; }
  // What a product with int8 activations sees.
  Buffer<float> dequantized() const {
    Buffer<float> out(int64_t(M) * K);
    for (int64_t i = 0; i < out.size(); ++i) out[i] = float(q[i]) * scale[i / kInt8Block];
    return out;
  }
};

PanelProduct product(const WeightPanels& w, const Activations& a, Buffer<float>& y, int64_t ldy) {
  return {w.view(), 0, w.view().count(), a.M, a.x.data(), a.K, a.int8_rows(), y.data(), ldy, false};
}

using PanelsOfEveryTable = EveryTable;

TEST_P(PanelsOfEveryTable, agree_with_the_definition_at_all_sizes_and_write_only_their_columns) {
  Random random(3);
  for (const NumberFormat format : kFormats) {
    for (const int N : {1, 5, 16, 17, 33, 48, 100}) {
      for (const int K : {3, 30, 32, 64, 131, 160, 288}) {
        if (!fits_blocks(format, K)) continue;
        const WeightPanels w(format, N, K, random.normal(int64_t(N) * K).data());
        for (const int M : {1, 2, 3, 4, 5, 6, 7, 13, 25}) {
          Activations a(M, K, random.normal(int64_t(M) * K));
          if (takes_int8(format)) a.quantize(scalar_kernels<float>());
          const int64_t ldy = N + 3;
          Buffer<float> want(M * ldy), got(M * ldy);
          std::fill(want.begin(), want.end(), kGuard);
          std::fill(got.begin(), got.end(), kGuard);
          scalar_kernels<float>().panel_product(product(w, a, want, ldy));
          table().panel_product(product(w, a, got, ldy));
          ASSERT_NO_FATAL_FAILURE(expect_close(got, want, 2e-5))
              << format_name(format) << " " << M << " " << N << " " << K;
          PanelProduct again = product(w, a, got, ldy);
          again.accumulate = true;
          table().panel_product(again);
          for (int64_t i = 0; i < want.size(); ++i)
            if (i % ldy < N) want[i] *= 2;
          ASSERT_NO_FATAL_FAILURE(expect_close(got, want, 4e-5)) << format_name(format);
        }
      }
    }
  }
}

// What follows a row of y may be written by another thread meanwhile.
TEST_P(PanelsOfEveryTable, touch_nothing_past_the_end_of_rows) {
  Random random(9);
  for (const NumberFormat format : kFormats) {
    for (const int N : {1, 6, 16, 21, 37}) {
      for (const int K : {3, 30, 64, 131}) {
        if (!fits_blocks(format, K)) continue;
        const WeightPanels w(format, N, K, random.normal(int64_t(N) * K).data());
        for (const int M : {1, 2, 3, 5, 13}) {
          Activations a(M, K, random.normal(int64_t(M) * K));
          if (takes_int8(format)) a.quantize(table());
          Buffer<float> want(M * N);
          PanelProduct p = product(w, a, want, N);
          table().panel_product(p);
          Fenced x(a.x), y(want);
          p.x = x.data();
          p.y = y.data();
          table().panel_product(p);
          ASSERT_NO_FATAL_FAILURE(expect_same_bits(y.numbers(), want)) << format_name(format);
          p.accumulate = true;
          table().panel_product(p);
          for (float& sum : want) sum *= 2;
          ASSERT_NO_FATAL_FAILURE(expect_same_bits(y.numbers(), want)) << format_name(format);
        }
      }
    }
  }
}

TEST_P(PanelsOfEveryTable, give_a_row_the_same_bits_alone_and_in_company) {
  Random random(4);
  const int M = 29, N = 83, K = 192;
  for (const NumberFormat format : kFormats) {
    const WeightPanels w(format, N, K, random.normal(int64_t(N) * K).data());
    Activations a(M, K, random.normal(int64_t(M) * K));
    a.quantize(table());
    Buffer<float> together(int64_t(M) * N), alone(int64_t(M) * N);
    table().panel_product(product(w, a, together, N));
    for (int m = 0; m < M; ++m) {
      for (int panel = 0; panel < w.view().count(); ++panel) {
        PanelProduct one = product(w, a, alone, N);
        one.M = 1;
        one.first = panel;
        one.last = panel + 1;
        one.x += int64_t(m) * K;
        one.q.q += int64_t(m) * K;
        one.q.scale += m * (K / kInt8Block);
        one.q.sum += m * (K / 16);
        one.y += int64_t(m) * N;
        table().panel_product(one);
      }
    }
    ASSERT_NO_FATAL_FAILURE(expect_same_bits(alone, together)) << format_name(format);
  }
}

// Exact in E4M3 at scale 1, subnormals and both zeros among them: every code meets its value.
TEST_P(PanelsOfEveryTable, multiply_every_code_of_e4m3_exactly) {
  const int codes = 256, N = 32, K = 8;
  std::vector<uint8_t> numbers(size_t(N) * K);
  for (int i = 0; i < codes; ++i) numbers[size_t(i)] = (i & 0x7f) == 0x7f ? 0 : uint8_t(i);
  const float scale = 1;
  std::vector<uint8_t> scales(sizeof scale);
  std::memcpy(scales.data(), &scale, sizeof scale);
  const QuantizedMatrix stored{NumberFormat::kFP8, N, K, numbers, scales};
  const WeightPanels w(stored);
  for (int k = 0; k < K; ++k) {
    Buffer<float> x(K), y(N);
    x.zero();
    x[k] = 1;
    table().panel_product(product(w, Activations(1, K, std::move(x)), y, N));
    for (int n = 0; n < N; ++n) EXPECT_EQ(y[n], e4m3_to_float(numbers[size_t(n * K + k)])) << n;
  }
}

TEST_P(PanelsOfEveryTable, quantise_activations_to_the_definition_s_integers) {
  Random random(5);
  const int M = 9, K = 96;
  Activations a(M, K, random.normal(int64_t(M) * K)), b = a;
  std::fill_n(a.x.begin() + 32, 32, 0.0f);  // a block of zeros
  b.x = a.x;
  a.quantize(scalar_kernels<float>());
  b.quantize(table());
  for (int64_t i = 0; i < a.q.size(); ++i) ASSERT_EQ(a.q[i], b.q[i]) << i;
  for (int64_t i = 0; i < a.sum.size(); ++i) ASSERT_EQ(a.sum[i], b.sum[i]) << i;
  expect_same_bits(b.scale, a.scale);
}

// The largest numbers that a format holds, all of one sign: where 16 bits would overflow.
TEST_P(PanelsOfEveryTable, are_exact_at_the_ends_of_the_integers) {
  const int N = 16, K = 64;
  for (const NumberFormat format : {NumberFormat::kInt8, NumberFormat::kInt4, NumberFormat::kNVFP4,
                                    NumberFormat::kMXFP4, NumberFormat::kUint4}) {
    for (const float sign : {1.0f, -1.0f}) {
      Buffer<float> weights(N * K), x(K);
      std::fill(weights.begin(), weights.end(), 6 * sign);
      std::fill(x.begin(), x.end(), -127.0f);
      const WeightPanels w(format, N, K, weights.data());
      Activations a(1, K, std::move(x));
      a.quantize(table());
      Buffer<float> y(N);
      table().panel_product(product(w, a, y, N));
      for (const float value : y) EXPECT_NEAR(value, -127.0 * 6 * sign * K, 30);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, PanelsOfEveryTable, every_table(), table_name);

TEST(Panels, hold_what_dequantising_gives) {
  Random random(6);
  const int M = 5, N = 140;
  for (const NumberFormat format : kFormats) {
    const int K = takes_int8(format) ? 160 : 163;
    const QuantizedBuffer quantized =
        quantize(format, N, K, random.normal(int64_t(N) * K, 0.02f).data());
    Buffer<float> plain(int64_t(N) * K), y(int64_t(M) * N);
    dequantize(quantized.view, plain.data());
    const WeightPanels w(quantized.view);
    Activations a(M, K, random.normal(int64_t(M) * K));
    if (takes_int8(format)) a.quantize(scalar_kernels<float>());
    scalar_kernels<float>().panel_product(product(w, a, y, N));
    const Buffer<float> seen = takes_int8(format) ? a.dequantized() : a.x;
    EXPECT_LE(relative_frobenius(y, exact_product(seen, plain, M, N, K)), 2e-6)
        << format_name(format);
  }
}

TEST(Quantize, again_changes_nothing) {
  Random random(7);
  const int N = 130, K = 192;
  for (const NumberFormat format : kFormats) {
    const QuantizedBuffer once = quantize(format, N, K, random.normal(int64_t(N) * K).data());
    Buffer<float> values(int64_t(N) * K), again(int64_t(N) * K);
    dequantize(once.view, values.data());
    dequantize(quantize(format, N, K, values.data()).view, again.data());
    if (format == NumberFormat::kNVFP4) continue;  // its tensor scale may move
    ASSERT_NO_FATAL_FAILURE(expect_close(again, values, 1e-6)) << format_name(format);
  }
}

TEST(Quantize, of_zeros_is_zero) {
  Buffer<float> zeros(int64_t(16) * 64), back(int64_t(16) * 64);
  zeros.zero();
  for (const NumberFormat format : kFormats) {
    dequantize(quantize(format, 16, 64, zeros.data()).view, back.data());
    expect_same_bits(back, zeros);
  }
}

// N(0,1), K = 4096, 64 × 64 outputs: the bands are ±10 % of the measured figures in techniques 3.5.
struct Band {
  NumberFormat format;
  bool int8_activations;
  double frobenius, calc_diff;
};

TEST(Quantize, loses_what_the_table_of_formats_says) {
  Random random(8);
  const int M = 64, N = 64, K = 4096;
  const Buffer<float> weights = random.normal(int64_t(N) * K);
  Activations a(M, K, random.normal(int64_t(M) * K));
  a.quantize(scalar_kernels<float>());
  const std::vector<double> want = exact_product(a.x, weights, M, N, K);
  for (const Band& band : {Band{NumberFormat::kInt8, true, 0.0076, 2.9e-5},
                           Band{NumberFormat::kInt4, true, 0.0885, 3.9e-3},
                           Band{NumberFormat::kUint4, true, 0.0788, 3.1e-3},
                           Band{NumberFormat::kNVFP4, true, 0.0870, 3.8e-3},
                           Band{NumberFormat::kMXFP4, true, 0.114, 6.5e-3},
                           Band{NumberFormat::kFP8, false, 0.0262, 3.4e-4}}) {
    const WeightPanels w(band.format, N, K, weights.data());
    Buffer<float> y(int64_t(M) * N);
    kernels<float>().panel_product(product(w, a, y, N));
    EXPECT_NEAR(relative_frobenius(y, want), band.frobenius, 0.1 * band.frobenius)
        << format_name(band.format);
    EXPECT_NEAR(calc_diff(y, want), band.calc_diff, 0.2 * band.calc_diff)
        << format_name(band.format);
  }
}

}  // namespace
}  // namespace shenhong
