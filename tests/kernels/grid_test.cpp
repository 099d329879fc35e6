// Values on the grid of a number format: against a definition written out in double, against the
// stored formats, and the errors of products against their bands (techniques 0, A6 to A8, and 3.5).
#include "kernels/grid.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "core/floats.h"
#include "core/parallel.h"
#include "core/random.h"
#include "kernels/closeness.h"
#include "kernels/hadamard.h"
#include "kernels/kernels.h"
#include "kernels/matmul.h"
#include "kernels/quantized_matrix.h"
#include "kernels/row_codes.h"
#include "kernels/tables.h"

namespace shenhong {
namespace {

using enum NumberFormat;

Buffer<float> rounded(const Grid& grid, const Buffer<float>& x, int rows, int cols) {
  Buffer<float> out(x.size());
  round_to_grid(grid, x.data(), out.data(), rows, cols);
  return out;
}

// The element of a format nearest to v by search over all of its codes; ties to the even code.
double nearest_code(double v, int codes, const std::function<float(uint8_t)>& decode) {
  int best = 0;
  for (int code = 1; code < codes; ++code) {
    const double value = decode(uint8_t(code));
    if (std::isnan(value)) continue;
    const double off = std::abs(value - std::abs(v)),
                 least = std::abs(decode(uint8_t(best)) - std::abs(v));
    if (off < least || (off == least && code % 2 == 0)) best = code;
  }
  return std::copysign(double(decode(uint8_t(best))), v);
}

// Tile by tile from the words of grid.h.
std::vector<float> defined(const Grid& grid, const Buffer<float>& x, int rows, int cols) {
  std::vector<float> out(size_t(rows) * cols);
  float top = 0;
  for (const float v : x) top = std::max(top, std::abs(v));
  for (int r0 = 0; r0 < rows; r0 += grid.tile_rows)
    for (int c0 = 0; c0 < cols; c0 += grid.tile_cols) {
      const int r1 = std::min(rows, r0 + grid.tile_rows), c1 = std::min(cols, c0 + grid.tile_cols);
      float most = 0;
      for (int r = r0; r < r1; ++r)
        for (int c = c0; c < c1; ++c) most = std::max(most, std::abs(x[int64_t(r) * cols + c]));
      for (int r = r0; r < r1; ++r)
        for (int c = c0; c < c1; ++c) {
          const float v = x[int64_t(r) * cols + c];
          float& to = out[size_t(r) * cols + c];
          if (most == 0) continue;
          if (grid.format == kFP8) {
            const float scale = most / 448;
            to = float(nearest_code(v / scale, 0x7f, e4m3_to_float)) * scale;
          } else if (grid.format == kInt8) {
            to = float(std::nearbyint(v * (127 / most))) * (most / 127);
          } else if (grid.format == kNVFP4) {
            const float tensor = top / (6 * 448);
            const float scale =
                float(nearest_code(most / 6 / tensor, 0x7f, e4m3_to_float)) * tensor;
            to = scale == 0 ? 0 : float(nearest_code(v / scale, 8, e2m1_to_float)) * scale;
          } else {
            const float scale = float(std::exp2(std::ceil(std::log2(double(most / 6)))));
            to = float(nearest_code(v / scale, 8, e2m1_to_float)) * scale;
          }
        }
    }
  return out;
}

TEST(Grid, is_its_definition_for_every_format_tile_and_ragged_size) {
  Random random(1);
  for (const NumberFormat format : {kFP8, kInt8, kNVFP4, kMXFP4})
    for (const auto& [tile_rows, tile_cols] :
         {std::pair(1, 16), std::pair(16, 1), std::pair(16, 16), std::pair(1, 128),
          std::pair(128, 1), std::pair(128, 128), std::pair(32, 1), std::pair(1, 32)})
      for (const auto& [rows, cols] : {std::pair(1, 1), std::pair(5, 40), std::pair(37, 130)}) {
        Buffer<float> x = random.normal(int64_t(rows) * cols);
        for (int64_t i = 0; i < x.size(); ++i) x[i] *= std::exp2(float(i * 7 % 23) - 11);
        const Grid grid = {format, tile_rows, tile_cols};
        const Buffer<float> got = rounded(grid, x, rows, cols);
        const std::vector<float> want = defined(grid, x, rows, cols);
        for (int64_t i = 0; i < x.size(); ++i)
          ASSERT_EQ(got[i], want[i]) << format_name(format) << " " << tile_rows << "x" << tile_cols
                                     << " of " << rows << "x" << cols << " at " << i;
      }
}

TEST(Grid, elements_round_as_the_codecs_do_at_and_beside_every_tie) {
  for (int code = 0; code < 0x7e; ++code) {
    const float middle = (e4m3_to_float(uint8_t(code)) + e4m3_to_float(uint8_t(code + 1))) / 2;
    for (const float v : {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 1e9f)}) {
      Buffer<float> x(2);
      x[0] = 448, x[1] = -v;  // the scale is 1
      const Buffer<float> y = rounded({kFP8, 1, 128}, x, 1, 2);
      ASSERT_EQ(y[1], e4m3_to_float(float_to_e4m3(-v))) << v;
    }
  }
  for (int code = 0; code < 7; ++code) {
    const float middle = (e2m1_to_float(uint8_t(code)) + e2m1_to_float(uint8_t(code + 1))) / 2;
    for (const float v : {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 1e9f)}) {
      Buffer<float> x(2);
      x[0] = 6, x[1] = -v;
      const Buffer<float> y = rounded({kMXFP4, 1, 32}, x, 1, 2);
      ASSERT_EQ(y[1], e2m1_to_float(float_to_e2m1(-v))) << v;
    }
  }
}

TEST(Grid, is_what_the_stored_formats_hold) {
  Random random(2);
  const int rows = 150, cols = 288;
  const Buffer<float> x = random.normal(int64_t(rows) * cols);
  Buffer<float> stored(x.size());
  dequantize(quantize(kFP8, rows, cols, x.data()).view, stored.data());
  expect_close(rounded({kFP8, 128, 128}, x, rows, cols), stored, 0);
  dequantize(quantize(kMXFP4, rows, cols, x.data()).view, stored.data());
  expect_close(rounded({kMXFP4, 1, 32}, x, rows, cols), stored, 0);
}

// Training for int8 activations has to see the very numbers of decoding.
TEST(Grid, int8_is_what_decoding_makes_of_activations) {
  Random random(3);
  const int rows = 7, cols = 96;
  const Buffer<float> x = random.normal(int64_t(rows) * cols);
  Buffer<int8_t> q(x.size());
  Buffer<float> scale(x.size() / kInt8Block), want(x.size());
  Buffer<int32_t> sum(x.size() / 16);
  kernels<float>().quantize_rows(x.data(), cols, rows, cols, q.data(), scale.data(), sum.data());
  for (int64_t i = 0; i < x.size(); ++i) want[i] = float(q[i]) * scale[i / kInt8Block];
  expect_same_bits(rounded({kInt8, 1, kInt8Block}, x, rows, cols), want);
}

TEST(Grid, zeros_stay_tiny_ones_vanish_and_what_is_not_finite_is_not_hidden) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity(),
                  kNaN = std::numeric_limits<float>::quiet_NaN();
  for (const NumberFormat format : {kBF16, kFP8, kInt8, kNVFP4, kMXFP4})
    for (const Grid grid : {Grid{format, 1, 16}, Grid{format, 16, 1}}) {
      Buffer<float> x(16);
      x.zero();
      for (const float v : rounded(grid, x, 16, 1)) ASSERT_EQ(v, 0);
      x[3] = 1e-44f;
      for (const float v : rounded(grid, x, 16, 1)) ASSERT_LE(std::abs(v), 1e-40f);
      for (const float bad : {kNaN, kInfinity, -kInfinity}) {
        x[3] = bad;
        const Buffer<float> y = rounded(grid, x, 1, 16);
        ASSERT_FALSE(std::isfinite(y[3])) << format_name(format);
      }
    }
}

TEST(Grid, any_number_of_threads_gives_the_same_bits) {
  Random random(4);
  const int rows = 333, cols = 257;
  const Buffer<float> x = random.normal(int64_t(rows) * cols);
  for (const Grid grid : {Grid{kNVFP4, 1, 16}, Grid{kNVFP4, 16, 1}, Grid{kFP8, 128, 128}}) {
    std::vector<Buffer<float>> of;
    for (const int threads : {1, 3}) {
      set_thread_count(threads);
      of.push_back(rounded(grid, x, rows, cols));
      if (grid.format == kNVFP4)
        round_stochastically(grid, {5, 6}, x.data(), of.back().data(), rows, cols);
    }
    expect_same_bits(of[0], of[1]);
  }
}

// The mean over many draws is the number itself: five standard errors of a mean are allowed.
TEST(StochasticRounding, is_unbiased_and_chooses_a_neighbour) {
  const int n = 32, draws = 20000;
  for (const Grid grid : {Grid{kMXFP4, 1, 32}, Grid{kMXFP4, 32, 1}, Grid{kNVFP4, 1, 16}}) {
    const bool upright = grid.tile_cols == 1;
    Random random(5);
    Buffer<float> x = random.normal(n), y(n);
    x[0] = x[16] = 6;  // with scale 1 in every tile, and nothing beyond it
    for (float& v : x) v = std::clamp(v, -5.9f, 6.0f);
    std::vector<double> sum(n);
    for (int d = 0; d < draws; ++d) {
      round_stochastically(grid, {7, uint64_t(d)}, x.data(), y.data(), upright ? n : 1,
                           upright ? 1 : n);
      for (int i = 0; i < n; ++i) {
        const float near = e2m1_to_float(float_to_e2m1(x[i]));
        ASSERT_LE(std::abs(y[i] - x[i]), 2.0f);
        ASSERT_EQ(y[i], e2m1_to_float(float_to_e2m1(y[i])));
        if (near == x[i]) {
          ASSERT_EQ(y[i], x[i]);
        }
        sum[i] += y[i];
      }
    }
    double worst = 0;
    for (int i = 0; i < n; ++i) {
      const double gap = std::abs(x[i]) < 2 ? 0.5 : std::abs(x[i]) < 4 ? 1 : 2;
      worst = std::max(worst, std::abs(sum[i] / draws - double(x[i])) / gap);
    }
    // A Bernoulli's deviation is at most half the gap.
    EXPECT_LE(worst, 5 * 0.5 / std::sqrt(double(draws)));
    // Rounding to nearest fails the same test: the test can tell.
    const Buffer<float> nearest = rounded(grid, x, upright ? n : 1, upright ? 1 : n);
    double biased = 0;
    for (int i = 0; i < n; ++i) biased = std::max(biased, std::abs(double(nearest[i] - x[i])));
    EXPECT_GT(biased, 0.1);
  }
}

TEST(Hadamard, is_orthogonal_and_cancels_in_a_product_over_its_rows) {
  Random random(6);
  const int rows = 45, M = 5, N = 9, padded = hadamard_rows(rows);
  ASSERT_EQ(padded, 48);
  const Buffer<float> a = random.normal(rows * M), b = random.normal(rows * N);
  Buffer<float> ha(padded * M), hb(padded * N), plain(M * N), turned(M * N);
  constexpr uint16_t kSigns = 0xa53c;
  hadamard(kSigns, a.data(), ha.data(), rows, M);
  hadamard(kSigns, b.data(), hb.data(), rows, N);
  matmul_tn(a.data(), b.data(), plain.data(), M, N, rows, Write::kReplace);
  matmul_tn(ha.data(), hb.data(), turned.data(), M, N, padded, Write::kReplace);
  expect_close(turned, plain, 1e-5);
  // Other signs on one side do not cancel.
  hadamard(uint16_t(kSigns ^ 1), b.data(), hb.data(), rows, N);
  matmul_tn(ha.data(), hb.data(), turned.data(), M, N, padded, Write::kReplace);
  double off = 0;
  for (int64_t i = 0; i < plain.size(); ++i)
    off = std::max(off, std::abs(double(turned[i]) - double(plain[i])));
  EXPECT_GT(off, 0.1);
  // Columns of the transform itself: unit length, right angles.
  Buffer<float> unit(16 * 16), h(16 * 16), gram(16 * 16);
  unit.zero();
  for (int i = 0; i < 16; ++i) unit[i * 17] = 1;
  hadamard(kSigns, unit.data(), h.data(), 16, 16);
  matmul_tn(h.data(), h.data(), gram.data(), 16, 16, 16, Write::kReplace);
  for (int i = 0; i < 256; ++i) EXPECT_EQ(gram[i], i % 17 == 0 ? 1.0f : 0.0f);
}

TEST(RowCodes, hold_what_the_grid_says_in_the_bytes_they_promise) {
  Random random(7);
  const int rows = 21, cols = 200;
  Buffer<float> x = random.normal(rows * cols);
  std::fill_n(x.begin() + 400, 200, 0.0f);
  for (const auto& [grid, bytes] : {std::pair(Grid{kBF16, 1, 1}, 2 * rows * cols),
                                    {Grid{kFP8, 1, 128}, rows * (cols + 2 * 4)},
                                    {Grid{kInt8, 1, 32}, rows * (cols + 7 * 4)}}) {
    const RowCodes codes = encode_rows(grid.format, x.data(), rows, cols);
    EXPECT_EQ(codes.bytes(), bytes);
    Buffer<float> out(x.size());
    decode_rows(codes, out.data());
    expect_close(out, rounded(grid, x, rows, cols), 0);
  }
  x[7] = std::numeric_limits<float>::quiet_NaN();
  for (const NumberFormat format : {kBF16, kFP8, kInt8}) {
    Buffer<float> out(x.size());
    decode_rows(encode_rows(format, x.data(), rows, cols), out.data());
    EXPECT_TRUE(std::isnan(out[7])) << format_name(format);
  }
}

// x [M,K], w [N,K] on their grids, as products see them.
struct Operands {
  int M, N, K;
  Buffer<float> x, w, xq, wq;

  Operands(int M_, int N_, int K_, const Grid& gx, const Grid& gw) : M(M_), N(N_), K(K_) {
    Random random(8);
    x = random.normal(int64_t(M) * K);
    w = random.normal(int64_t(N) * K);
    xq = rounded(gx, x, M, K);
    wq = rounded(gw, w, N, K);
  }
  std::vector<double> exact(const Buffer<float>& a, const Buffer<float>& b) const {
    return exact_product(a, b, M, N, K);
  }
  Buffer<float> product() const {
    Buffer<float> y(int64_t(M) * N);
    matmul_nt(xq.data(), wq.data(), y.data(), M, N, K, Write::kReplace);
    return y;
  }
};

// V3's product as its report writes it: codes multiplied over 128 of K, each partial sum scaled and
// added in float (techniques 3.3).
Buffer<float> promoted(const Operands& o, int fault) {
  Buffer<float> y(int64_t(o.M) * o.N);
  const RowCodes a = encode_rows(kFP8, o.x.data(), o.M, o.K);
  const QuantizedBuffer b = quantize(kFP8, o.N, o.K, o.w.data());
  const int blocks = o.K / kFP8Block;
  const float* sb = reinterpret_cast<const float*>(b.scales.data());
  for (int m = 0; m < o.M; ++m)
    for (int n = 0; n < o.N; ++n) {
      float sum = 0;
      for (int kb = 0; kb < blocks; ++kb) {
        float part = 0;
        for (int k = kb * kFP8Block; k < (kb + 1) * kFP8Block; ++k)
          part += e4m3_to_float(a.numbers[int64_t(m) * o.K + k]) *
                  e4m3_to_float(b.numbers[int64_t(n) * o.K + k]);
        sum +=
            part * a.scales[m * blocks + kb] * sb[n / kFP8Block * blocks + (kb + fault) % blocks];
      }
      y[int64_t(m) * o.N + n] = sum;
    }
  return y;
}

// A6 and A7.
TEST(LowPrecisionProducts, fp8_loses_what_its_operands_lose_and_no_more) {
  const Operands o(64, 64, 4096, {kFP8, 1, 128}, {kFP8, 128, 128});
  const std::vector<double> unrounded = o.exact(o.x, o.w), of_rounded = o.exact(o.xq, o.wq);
  const Buffer<float> ours = o.product();
  EXPECT_GE(relative_frobenius(ours, unrounded), 0.036);
  EXPECT_LE(relative_frobenius(ours, unrounded), 0.038);
  EXPECT_LT(calc_diff(ours, unrounded), 1e-3);
  EXPECT_LE(relative_frobenius(ours, of_rounded), 1e-5);
  // A product of codes with promotion is the same, but for the order of summation.
  EXPECT_LE(relative_frobenius(promoted(o, 0), of_rounded), 1e-5);
  // Scales of the wrong block are noticed.
  EXPECT_GT(relative_frobenius(promoted(o, 1), of_rounded), 1e-3);
}

// A8, and the bands of techniques 3.5, ±10 %.
TEST(LowPrecisionProducts, lose_what_the_table_says) {
  const Grid fp8 = {kFP8, 1, 128}, int8 = {kInt8, 1, 32}, nvfp4 = {kNVFP4, 1, 16},
             mxfp4 = {kMXFP4, 1, 32};
  const struct {
    Grid x, w;
    double frobenius, difference;
  } kCases[] = {{int8, int8, 0.0076, 1e-3},  {nvfp4, nvfp4, 0.137, 0.02},
                {mxfp4, mxfp4, 0.161, 0.02}, {fp8, nvfp4, 0.099, 0.01},
                {int8, nvfp4, 0.095, 0.01},  {fp8, mxfp4, 0.118, 0.01}};
  for (const auto& c : kCases) {
    const Operands o(48, 48, 4096, c.x, c.w);
    const std::vector<double> unrounded = o.exact(o.x, o.w);
    const Buffer<float> ours = o.product();
    EXPECT_NEAR(relative_frobenius(ours, unrounded), c.frobenius, 0.1 * c.frobenius)
        << format_name(c.x.format) << " x " << format_name(c.w.format);
    EXPECT_LT(calc_diff(ours, unrounded), c.difference);
    EXPECT_LE(relative_frobenius(ours, o.exact(o.xq, o.wq)), 1e-5);
  }
}

}  // namespace
}  // namespace shenhong
