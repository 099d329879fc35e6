#include "kernels/matmul.h"

#include <gtest/gtest.h>

#include "core/parallel.h"
#include "kernels/tables.h"

namespace shenhong {
namespace {

struct Shape {
  int M, N, K;
};
// Below and above what is worth sharing, tall, wide, ragged, decoding.
constexpr Shape kShapes[] = {{3, 5, 7},      {64, 64, 48},   {300, 70, 90}, {1000, 33, 64},
                             {17, 900, 100}, {1, 2000, 256}, {8, 640, 300}, {210, 530, 310}};

template <class Real>
Buffer<Real> widened(const Buffer<float>& x) {
  Buffer<Real> out(x.size());
  for (int64_t i = 0; i < x.size(); ++i) out[i] = Real(x[i]);
  return out;
}

TEST(Matmul, gives_the_same_bits_on_any_number_of_threads) {
  const int before = thread_count();
  Random random(1);
  for (const Layout layout : {Layout::kNT, Layout::kNN, Layout::kTN}) {
    for (const auto& [M, N, K] : kShapes) {
      const Buffer<float> a = random.normal(int64_t(M) * K), b = random.normal(int64_t(N) * K);
      const int64_t lda = layout == Layout::kTN ? M : K, ldb = layout == Layout::kNT ? K : N;
      Buffer<float> direct(int64_t(M) * N);
      kernels<float>().gemm(
          {layout, M, N, K, a.data(), lda, b.data(), ldb, direct.data(), N, false});
      for (const int threads : {1, 2, 5}) {
        set_thread_count(threads);
        Buffer<float> c(int64_t(M) * N);
        matmul<float>({layout, M, N, K, a.data(), lda, b.data(), ldb, c.data(), N, false});
        SCOPED_TRACE(testing::Message() << "layout " << int(layout) << " M " << M << " N " << N
                                        << " K " << K << " threads " << threads);
        ASSERT_NO_FATAL_FAILURE(expect_same_bits(c, direct));
      }
    }
  }
  set_thread_count(before);
}

template <class Real>
void check_named_forms() {
  const int T = 100, N = 70, K = 90;
  Random random(2);
  const auto x = widened<Real>(random.whole(T * K)), w = widened<Real>(random.whole(N * K)),
             dy = widened<Real>(random.whole(T * N));
  Buffer<Real> y(T * N), dx(T * K), dw(N * K);
  for (const Write write : {Write::kReplace, Write::kAdd}) {
    matmul_nt(x.data(), w.data(), y.data(), T, N, K, write);
    matmul_nn(dy.data(), w.data(), dx.data(), T, K, N, write);
    matmul_tn(dy.data(), x.data(), dw.data(), N, K, T, write);
  }
  // Each was written once and added to once.
  for (int t = 0; t < T; ++t) {
    for (int n = 0; n < N; ++n) {
      Real sum = 0;
      for (int k = 0; k < K; ++k) sum += x[t * K + k] * w[n * K + k];
      ASSERT_EQ(y[t * N + n], 2 * sum);
    }
    for (int k = 0; k < K; ++k) {
      Real sum = 0;
      for (int n = 0; n < N; ++n) sum += dy[t * N + n] * w[n * K + k];
      ASSERT_EQ(dx[t * K + k], 2 * sum);
    }
  }
  for (int n = 0; n < N; ++n) {
    for (int k = 0; k < K; ++k) {
      Real sum = 0;
      for (int t = 0; t < T; ++t) sum += dy[t * N + n] * x[t * K + k];
      ASSERT_EQ(dw[n * K + k], 2 * sum);
    }
  }
}

TEST(Matmul, named_forms_are_a_linear_layer_and_its_gradients) {
  check_named_forms<float>();
  check_named_forms<double>();
}

}  // namespace
}  // namespace shenhong
