#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "kernels/fenced.h"
#include "kernels/kernels.h"
#include "kernels/tables.h"

namespace shenhong {
namespace {

constexpr Layout kLayouts[] = {Layout::kNT, Layout::kNN, Layout::kTN};
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kGuard = 12345;

// A product with rows wider than needed: the surplus of A and B is NaN, that of C a guard value,
// and nothing lies behind the last element, so that the address sanitizer sees a step too far.
struct Problem {
  Layout layout;
  int M, N, K, surplus;
  Buffer<float> a, b;

  Problem(Layout layout_, int M_, int N_, int K_, int surplus_, bool whole, unsigned seed = 1)
      : layout(layout_), M(M_), N(N_), K(K_), surplus(surplus_) {
    Random random(seed);
    const bool a_turned = layout == Layout::kTN, b_turned = layout == Layout::kNT;
    a = matrix(random, a_turned ? K : M, a_turned ? M : K, whole);
    b = matrix(random, b_turned ? N : K, b_turned ? K : N, whole);
  }

  Buffer<float> matrix(Random& random, int rows, int columns, bool whole) const {
    const int64_t width = columns + surplus;
    const int64_t size = rows == 0 ? 0 : (rows - 1) * width + columns;
    Buffer<float> m = whole ? random.whole(size) : random.normal(size);
    for (int64_t i = 0; i < size; ++i)
      if (i % width >= columns) m[i] = kNaN;
    return m;
  }

  int64_t lda() const { return (layout == Layout::kTN ? M : K) + surplus; }
  int64_t ldb() const { return (layout == Layout::kNT ? K : N) + surplus; }
  int64_t ldc() const { return N + surplus; }

  Buffer<float> output(float inside) const {
    Buffer<float> c(M == 0 ? 0 : (M - 1) * ldc() + N);
    for (int64_t i = 0; i < c.size(); ++i) c[i] = i % ldc() < N ? inside : kGuard;
    return c;
  }
  Gemm<float> gemm(Buffer<float>& c, bool accumulate) const {
    return {layout, M, N, K, a.data(), lda(), b.data(), ldb(), c.data(), ldc(), accumulate};
  }
  // Rows [m, m + rows) and columns [n, n + columns) of it.
  Gemm<float> part(Buffer<float>& c, int m, int rows, int n, int columns) const {
    Gemm<float> g = gemm(c, false);
    g.a += layout == Layout::kTN ? m : m * lda();
    g.b += layout == Layout::kNT ? n * ldb() : n;
    g.c += m * ldc() + n;
    g.M = rows;
    g.N = columns;
    return g;
  }
};

// Over NaN and on top of 3, for a problem of whole numbers.
void expect_exact(const Kernels<float>& table, const Problem& p) {
  Buffer<float> want = p.output(kNaN), got = want;
  scalar_kernels<float>().gemm(p.gemm(want, false));
  table.gemm(p.gemm(got, false));
  ASSERT_NO_FATAL_FAILURE(expect_same_bits(got, want));
  got = p.output(3);
  table.gemm(p.gemm(got, true));
  for (int64_t i = 0; i < want.size(); ++i)
    if (i % p.ldc() < p.N) want[i] += 3;
  ASSERT_NO_FATAL_FAILURE(expect_same_bits(got, want));
}

using GemmOfEveryTable = EveryTable;

TEST_P(GemmOfEveryTable, is_exact_on_whole_numbers_at_all_sizes_and_writes_only_inside_c) {
  const std::vector<int> sizes = {1, 2, 5, 7, 13, 16, 17, 33, 64, 100};
  for (const Layout layout : kLayouts) {
    for (const int M : sizes) {
      for (const int N : sizes) {
        for (const int K : sizes) {
          const Problem p(layout, M, N, K, (M + N + K) % 4, true);
          SCOPED_TRACE(testing::Message()
                       << "layout " << int(layout) << " M " << M << " N " << N << " K " << K);
          ASSERT_NO_FATAL_FAILURE(expect_exact(table(), p));
        }
      }
    }
  }
}

// What follows a row of C may be written by another thread meanwhile, and nothing may follow A or
// B.
TEST_P(GemmOfEveryTable, touches_nothing_past_the_end_of_its_matrices) {
  const std::vector<int> sizes = {1, 3, 6, 13, 16, 18, 35};
  for (const Layout layout : kLayouts) {
    for (const int M : sizes) {
      for (const int N : sizes) {
        for (const int K : sizes) {
          const Problem p(layout, M, N, K, 0, true);
          Buffer<float> want = p.output(kNaN);
          Fenced a(p.a), b(p.b), c(want);
          table().gemm(p.gemm(want, false));
          Gemm<float> g = p.gemm(want, false);
          g.a = a.data();
          g.b = b.data();
          g.c = c.data();
          table().gemm(g);
          ASSERT_NO_FATAL_FAILURE(expect_same_bits(c.numbers(), want));
          g.accumulate = true;
          table().gemm(g);
          for (float& x : want) x *= 2;
          ASSERT_NO_FATAL_FAILURE(expect_same_bits(c.numbers(), want));
        }
      }
    }
  }
}

// Past every block size, and rows whose distance collides in the cache.
TEST_P(GemmOfEveryTable, is_exact_on_whole_numbers_past_its_blocks) {
  const struct {
    int M, N, K, surplus;
  } sizes[] = {{257, 257, 257, 0}, {40, 1100, 600, 3}, {13, 64, 1024, 0}, {100, 1024, 1024, 0},
               {1024, 65, 520, 0}, {8, 300, 1024, 0},  {9, 2048, 300, 0}, {3, 515, 2049, 5}};
  for (const Layout layout : kLayouts) {
    for (const auto& [M, N, K, surplus] : sizes) {
      const Problem p(layout, M, N, K, surplus, true);
      SCOPED_TRACE(testing::Message()
                   << "layout " << int(layout) << " M " << M << " N " << N << " K " << K);
      ASSERT_NO_FATAL_FAILURE(expect_exact(table(), p));
    }
  }
}

TEST_P(GemmOfEveryTable, rounds_no_worse_than_a_float_sum) {
  for (const Layout layout : kLayouts) {
    for (const int M : {1, kFewRows, kFewRows + 1, 50}) {
      const Problem p(layout, M, 70, 1000, 0, false);
      Problem magnitudes = p;
      for (Buffer<float>* m : {&magnitudes.a, &magnitudes.b})
        for (float& x : *m) x = std::abs(x);
      Buffer<float> want = p.output(0), got = want, bound = want;
      scalar_kernels<float>().gemm(p.gemm(want, false));
      scalar_kernels<float>().gemm(magnitudes.gemm(bound, false));
      table().gemm(p.gemm(got, false));
      for (int64_t i = 0; i < got.size(); ++i)
        ASSERT_NEAR(got[i], want[i], 16 * std::numeric_limits<float>::epsilon() * bound[i]) << i;
    }
  }
}

TEST_P(GemmOfEveryTable, gives_the_same_bits_however_rows_and_columns_are_split) {
  for (const Layout layout : kLayouts) {
    for (const int M : {5, kFewRows, 61}) {
      const Problem p(layout, M, 133, 600, 1, false);
      Buffer<float> whole = p.output(kNaN);
      table().gemm(p.gemm(whole, false));
      const int least_rows = layout == Layout::kNT && M > kFewRows ? kFewRows + 1 : 1;
      for (const int rows : {1, 3, 4, 9, 12, 30}) {
        if (rows < least_rows) continue;
        for (const int columns : {1, 6, 16, 33, 64, 133}) {
          Buffer<float> split = p.output(kNaN);
          for (int m = 0; m < M;) {
            const int rest = M - m, height = rest - rows < least_rows ? rest : rows;
            for (int n = 0; n < p.N; n += columns)
              table().gemm(p.part(split, m, height, n, std::min(columns, p.N - n)));
            m += height;
          }
          SCOPED_TRACE(testing::Message() << "layout " << int(layout) << " M " << M << " by "
                                          << rows << " x " << columns);
          ASSERT_NO_FATAL_FAILURE(expect_same_bits(split, whole));
        }
      }
    }
  }
}

TEST_P(GemmOfEveryTable, takes_empty_sizes) {
  for (const Layout layout : kLayouts) {
    const Problem no_depth(layout, 3, 5, 0, 2, true);
    Buffer<float> c = no_depth.output(kNaN);
    table().gemm(no_depth.gemm(c, false));
    expect_same_bits(c, no_depth.output(0));
    c = no_depth.output(7);
    table().gemm(no_depth.gemm(c, true));
    expect_same_bits(c, no_depth.output(7));

    for (const auto& [M, N] : {std::pair(0, 5), std::pair(5, 0)}) {
      const Problem empty(layout, M, N, 4, 0, true);
      Buffer<float> nothing = empty.output(kNaN);
      table().gemm(empty.gemm(nothing, false));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, GemmOfEveryTable, every_table(), table_name);

// The scalar definition itself, against the sum written out.
TEST(ScalarGemm, is_the_sum_of_products) {
  for (const Layout layout : kLayouts) {
    const Problem p(layout, 5, 70, 11, 2, true);
    Buffer<float> got = p.output(2), want = p.output(2);
    scalar_kernels<float>().gemm(p.gemm(got, true));
    for (int m = 0; m < p.M; ++m) {
      for (int n = 0; n < p.N; ++n) {
        for (int k = 0; k < p.K; ++k) {
          const float a = layout == Layout::kTN ? p.a[k * p.lda() + m] : p.a[m * p.lda() + k];
          const float b = layout == Layout::kNT ? p.b[n * p.ldb() + k] : p.b[k * p.ldb() + n];
          want[m * p.ldc() + n] += a * b;
        }
      }
    }
    expect_same_bits(got, want);
  }
}

}  // namespace
}  // namespace shenhong
