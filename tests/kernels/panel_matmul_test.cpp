// Products over all threads: rows that are gathered give the bits of rows that lie so, and how a
// product is cut changes nothing.
#include "kernels/panel_matmul.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/kernels.h"
#include "kernels/tables.h"

namespace shenhong {
namespace {

constexpr NumberFormat kFormats[] = {NumberFormat::kF32, NumberFormat::kFP8, NumberFormat::kInt8,
                                     NumberFormat::kNVFP4};

Buffer<float> times(Activations& x, int M, const WeightPanels& w) {
  Buffer<float> y(int64_t(M) * w.rows());
  const PanelProduct product = x.times(w, y.data(), Write::kReplace);
  run_products({&product, 1});
  return y;
}

void expect_equal_bits(const Buffer<float>& a, const Buffer<float>& b) {
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.bytes()), 0);
}

TEST(Gathered, rows_give_the_bits_of_rows_that_lie_so) {
  constexpr int kTokens = 70, K = 256, N = 80;
  Random random(1);
  const Buffer<float> x = random.normal(int64_t(kTokens) * K);
  const Buffer<float> weight = random.normal(int64_t(N) * K);
  for (const int rows : {1, 5, 400}) {  // the last on several threads
    std::vector<int> from(static_cast<size_t>(rows));
    for (int i = 0; i < rows; ++i) from[size_t(i)] = (i * 37 + 11) % kTokens;
    Buffer<float> laid_out(int64_t(rows) * K);
    for (int i = 0; i < rows; ++i)
      std::copy_n(x.data() + int64_t(from[size_t(i)]) * K, K, laid_out.data() + int64_t(i) * K);
    // Asked for one after the other: the float rows and the int8 rows of the same gathering.
    Activations tokens, gathered, plain;
    tokens.set(x.data(), kTokens, K);
    gathered.gather(tokens, from);
    plain.set(laid_out.data(), rows, K);
    for (const NumberFormat format : kFormats) {
      SCOPED_TRACE(testing::Message() << format_name(format) << ", " << rows << " rows");
      const WeightPanels w(format, N, K, weight.data());
      expect_equal_bits(times(gathered, rows, w), times(plain, rows, w));
    }
  }
}

TEST(Gathered, again_are_the_new_rows) {
  constexpr int kTokens = 4, K = 64, N = 16;
  Random random(2);
  const Buffer<float> x = random.normal(int64_t(kTokens) * K);
  const WeightPanels w(NumberFormat::kInt8, N, K, random.normal(int64_t(N) * K).data());
  Activations tokens, gathered, plain;
  tokens.set(x.data(), kTokens, K);
  for (const int row : {3, 1}) {
    const std::vector<int> from{row};
    gathered.gather(tokens, from);
    plain.set(x.data() + int64_t(row) * K, 1, K);
    expect_equal_bits(times(gathered, 1, w), times(plain, 1, w));
  }
}

TEST(Products, cut_into_pieces_are_whole) {
  constexpr int M = 131, K = 256, N = 333;  // no multiples of any tile
  Random random(3);
  const Buffer<float> x = random.normal(int64_t(M) * K);
  const Buffer<float> weight = random.normal(int64_t(N) * K);
  for (const NumberFormat format : kFormats) {
    SCOPED_TRACE(format_name(format));
    const WeightPanels w(format, N, K, weight.data());
    Activations rows;
    rows.set(x.data(), M, K);
    Buffer<float> whole(int64_t(M) * N);
    kernels<float>().panel_product(rows.times(w, whole.data(), Write::kReplace));
    expect_equal_bits(times(rows, M, w), whole);
  }
}

}  // namespace
}  // namespace shenhong
