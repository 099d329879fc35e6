#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/fenced.h"
#include "kernels/kernels.h"
#include "kernels/tables.h"

namespace shenhong {
namespace {

const Kernels<float>& scalar() { return scalar_kernels<float>(); }

using VectorsOfEveryTable = EveryTable;

TEST_P(VectorsOfEveryTable, dot_axpy_and_sum_squares_follow_the_definition) {
  Random random(1);
  for (const int n : kLengths) {
    SCOPED_TRACE(n);
    const Buffer<float> a = random.whole(n), b = random.whole(n);
    EXPECT_EQ(table().dot(a.data(), b.data(), n), scalar().dot(a.data(), b.data(), n));
    EXPECT_EQ(table().sum_squares(a.data(), n), scalar().sum_squares(a.data(), n));
    Buffer<float> got = b, want = b;
    table().axpy(-3, a.data(), got.data(), n);
    scalar().axpy(-3, a.data(), want.data(), n);
    ASSERT_NO_FATAL_FAILURE(expect_same_bits(got, want));
  }
  EXPECT_EQ(table().dot(nullptr, nullptr, 0), 0);
  EXPECT_EQ(table().sum_squares(nullptr, 0), 0);
}

TEST_P(VectorsOfEveryTable, sum_squares_adds_in_double) {
  // In float the ones would vanish beside the first square.
  Buffer<float> x(4097);
  for (float& v : x) v = 1;
  x[0] = 1 << 13;
  EXPECT_EQ(table().sum_squares(x.data(), x.size()), double(1 << 26) + 4096);
}

TEST_P(VectorsOfEveryTable, rmsnorm_follows_the_definition_also_in_place) {
  Random random(2);
  const int T = 3;
  for (const int D : kLengths) {
    SCOPED_TRACE(D);
    const Buffer<float> x = random.normal(T * D, 3), g = random.normal(D);
    Buffer<float> want(T * D), want_rstd(T), got(T * D), rstd(T), in_place = x;
    scalar().rmsnorm(x.data(), g.data(), want.data(), want_rstd.data(), T, D, 1e-6f);
    table().rmsnorm(x.data(), g.data(), got.data(), rstd.data(), T, D, 1e-6f);
    ASSERT_NO_FATAL_FAILURE(expect_close(got, want, 1e-6));
    ASSERT_NO_FATAL_FAILURE(expect_close(rstd, want_rstd, 1e-6));
    table().rmsnorm(in_place.data(), g.data(), in_place.data(), rstd.data(), T, D, 1e-6f);
    ASSERT_NO_FATAL_FAILURE(expect_same_bits(in_place, got));
  }
}

TEST_P(VectorsOfEveryTable, rmsnorm_backward_follows_the_definition_and_adds) {
  Random random(3);
  const int T = 3;
  for (const int D : kLengths) {
    SCOPED_TRACE(D);
    const Buffer<float> x = random.normal(T * D), dy = random.normal(T * D), g = random.normal(D);
    Buffer<float> y(T * D), rstd(T);
    scalar().rmsnorm(x.data(), g.data(), y.data(), rstd.data(), T, D, 1e-2f);
    Buffer<float> want_dx = random.normal(T * D), want_dg = random.normal(D);
    Buffer<float> dx = want_dx, dg = want_dg;
    scalar().rmsnorm_backward(dy.data(), x.data(), g.data(), rstd.data(), want_dx.data(),
                              want_dg.data(), T, D);
    table().rmsnorm_backward(dy.data(), x.data(), g.data(), rstd.data(), dx.data(), dg.data(), T,
                             D);
    ASSERT_NO_FATAL_FAILURE(expect_close(dx, want_dx, 2e-5));
    ASSERT_NO_FATAL_FAILURE(expect_close(dg, want_dg, 1e-5));
  }
}

TEST_P(VectorsOfEveryTable, swiglu_and_its_gradient_follow_the_definition_also_in_place) {
  Random random(4);
  for (const int n : kLengths) {
    SCOPED_TRACE(n);
    const Buffer<float> a = random.normal(n, 4), b = random.normal(n), dh = random.normal(n);
    Buffer<float> want(n), got(n);
    scalar().swiglu(a.data(), b.data(), want.data(), n);
    table().swiglu(a.data(), b.data(), got.data(), n);
    ASSERT_NO_FATAL_FAILURE(expect_close(got, want, 2e-6));

    Buffer<float> want_da(n), want_db(n), want_h(n), da = a, db = b, h = dh;
    scalar().swiglu_backward(dh.data(), a.data(), b.data(), want_da.data(), want_db.data(),
                             want_h.data(), n);
    table().swiglu_backward(h.data(), da.data(), db.data(), da.data(), db.data(), h.data(), n);
    ASSERT_NO_FATAL_FAILURE(expect_close(da, want_da, 4e-6));
    ASSERT_NO_FATAL_FAILURE(expect_close(db, want_db, 2e-6));
    ASSERT_NO_FATAL_FAILURE(expect_same_bits(want_h, want));
    ASSERT_NO_FATAL_FAILURE(expect_same_bits(h, got));

    Buffer<float> da2(n), db2(n);
    table().swiglu_backward(dh.data(), a.data(), b.data(), da2.data(), db2.data(), nullptr, n);
    ASSERT_NO_FATAL_FAILURE(expect_same_bits(da2, da));
    ASSERT_NO_FATAL_FAILURE(expect_same_bits(db2, db));
  }
}

TEST_P(VectorsOfEveryTable, swiglu_saturates_without_overflow_and_lets_nan_through) {
  Buffer<float> a(18), b(18), h(18);
  for (float& x : b) x = 1;
  const float extremes[] = {
      -3e38f, -1000, -100, -88, 0, 88, 1000, 3e38f, std::numeric_limits<float>::quiet_NaN()};
  for (int i = 0; i < 18; ++i) a[i] = extremes[i % 9];
  table().swiglu(a.data(), b.data(), h.data(), 18);
  for (int i = 0; i < 18; ++i) {
    if (std::isnan(a[i])) {
      EXPECT_TRUE(std::isnan(h[i]));
    } else if (a[i] >= 0) {
      EXPECT_EQ(h[i], a[i]);
    } else {
      EXPECT_LE(h[i], 0);
      EXPECT_GE(h[i], a[i] * 2e-38f);
    }
  }
}

TEST_P(VectorsOfEveryTable, softmax_and_its_gradient_follow_the_definition) {
  Random random(5);
  for (const int n : kLengths) {
    for (const float scale : {0.125f, 1.0f, 30.0f}) {
      SCOPED_TRACE(testing::Message() << n << " scale " << scale);
      Buffer<float> want = random.normal(n, 2), got = want;
      const float want_sum = scalar().softmax(want.data(), scale, n);
      const float got_sum = table().softmax(got.data(), scale, n);
      EXPECT_NEAR(got_sum, want_sum, 2e-6 * std::max(1.0f, std::abs(want_sum)));
      ASSERT_NO_FATAL_FAILURE(expect_close(got, want, 1e-5));

      Buffer<float> want_dp = random.normal(n), got_dp = want_dp;
      scalar().softmax_backward(want.data(), want_dp.data(), scale, n);
      table().softmax_backward(want.data(), got_dp.data(), scale, n);
      ASSERT_NO_FATAL_FAILURE(expect_close(got_dp, want_dp, 1e-6 * scale + 1e-6));
    }
  }
}

TEST_P(VectorsOfEveryTable, softmax_masks_by_minus_infinity_and_lets_nan_through) {
  const float kInfinity = std::numeric_limits<float>::infinity();
  for (const int n : {3, 8, 16, 21, 40}) {
    Buffer<float> x(n);
    for (float& v : x) v = -kInfinity;
    x[n - 1] = -50;
    EXPECT_FLOAT_EQ(table().softmax(x.data(), 2, n), -100);
    for (int i = 0; i < n; ++i) EXPECT_EQ(x[i], i == n - 1 ? 1 : 0);

    for (float& v : x) v = 1;
    x[n / 2] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(std::isnan(table().softmax(x.data(), 1, n)));
    for (const float p : x) EXPECT_TRUE(std::isnan(p));
  }
}

TEST_P(VectorsOfEveryTable, softmax_leaves_no_subnormal_numbers) {
  for (const float low : {-69.f, -71.f, -90.f, -100.f}) {
    Buffer<float> x(1 << 12);
    for (float& v : x) v = low;
    x[5] = 0;
    table().softmax(x.data(), 1, x.size());
    EXPECT_FLOAT_EQ(x[5], 1);
    EXPECT_EQ(x[4] > 0, low == -69.f) << low;
    for (const float p : x) EXPECT_NE(std::fpclassify(p), FP_SUBNORMAL) << low;
  }
}

TEST_P(VectorsOfEveryTable, adamw_follows_the_definition_over_several_steps) {
  Random random(6);
  for (const int n : kLengths) {
    SCOPED_TRACE(n);
    Buffer<float> w = random.normal(n, 0.02f), m(n), v(n);
    m.zero();
    v.zero();
    Buffer<float> want_w = w, want_m = m, want_v = v;
    for (int t = 1; t <= 3; ++t) {
      const Buffer<float> g = random.normal(n, 0.1f);
      const AdamWStep step{.lr = 1e-2,
                           .beta1 = 0.9,
                           .beta2 = 0.95,
                           .eps = 1e-8,
                           .weight_decay = 0.1,
                           .correction1 = 1 - std::pow(0.9, t),
                           .correction2 = 1 - std::pow(0.95, t),
                           .gradient_scale = 0.5};
      scalar().adamw(want_w.data(), g.data(), want_m.data(), want_v.data(), step, n);
      table().adamw(w.data(), g.data(), m.data(), v.data(), step, n);
    }
    ASSERT_NO_FATAL_FAILURE(expect_close(w, want_w, 1e-7));
    ASSERT_NO_FATAL_FAILURE(expect_close(m, want_m, 1e-8));
    ASSERT_NO_FATAL_FAILURE(expect_close(v, want_v, 1e-8));
  }
}

// Rows of different lengths lie next to each other in the model, and what follows one may be
// written by another thread meanwhile.
TEST_P(VectorsOfEveryTable, nothing_past_the_end_is_touched) {
  const AdamWStep step{.lr = 1,
                       .beta1 = 0.9,
                       .beta2 = 0.9,
                       .eps = 1,
                       .weight_decay = 0,
                       .correction1 = 1,
                       .correction2 = 1,
                       .gradient_scale = 1};
  for (const int n : kLengths) {
    const Buffer<float> numbers = Random(7).normal(n);
    Buffer<float> one(1);
    one[0] = 1;
    Fenced a(numbers), b(numbers), c(numbers), d(numbers), rstd(one);
    table().dot(a.data(), b.data(), n);
    table().sum_squares(a.data(), n);
    table().axpy(2, a.data(), b.data(), n);
    table().rmsnorm(a.data(), b.data(), c.data(), rstd.data(), 1, n, 1e-6f);
    table().rmsnorm_backward(a.data(), b.data(), b.data(), rstd.data(), c.data(), d.data(), 1, n);
    table().swiglu(a.data(), b.data(), c.data(), n);
    table().swiglu_backward(a.data(), b.data(), b.data(), c.data(), d.data(), a.data(), n);
    table().softmax(c.data(), 1, n);
    table().softmax_backward(c.data(), d.data(), 1, n);
    table().adamw(a.data(), b.data(), c.data(), d.data(), step, n);
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, VectorsOfEveryTable, every_table(), table_name);

}  // namespace
}  // namespace shenhong
