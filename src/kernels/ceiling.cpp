#include "kernels/ceiling.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "core/buffer.h"
#include "core/parallel.h"
#include "kernels/kernels.h"

namespace shenhong {
namespace {

template <class Run>
double best_seconds(int repeats, const Run& run) {
  using Clock = std::chrono::steady_clock;
  double best = std::numeric_limits<double>::max();
  for (int i = 0; i < repeats; ++i) {
    const auto start = Clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

}  // namespace

double measure_gemm_ceiling_gflops(int threads) {
  // Operands that stay in the second-level cache, with a gap that keeps their rows from colliding.
  constexpr int64_t n = 512, kStride = n + 16;
  Buffer<float> a(n * kStride), b(n * kStride), c(threads * n * kStride);
  std::fill(a.begin(), a.end(), 0.5f);
  std::fill(b.begin(), b.end(), 0.25f);
  c.zero();
  // One whole product per thread: the ceiling of the arithmetic, free of how work is shared out.
  const double seconds = best_seconds(60, [&] {
    parallel_for(threads, [&](int64_t i) {
      kernels<float>().gemm({Layout::kNT, n, n, n, a.data(), kStride, b.data(), kStride,
                             c.data() + i * n * kStride, kStride, false});
    });
  });
  return 2.0 * n * n * n * threads / seconds / 1e9;
}

double measure_bandwidth_gb_s() {
  // A thread reads several streams at once and asks for each ahead of its use: a single one, left
  // to the hardware, waits at the end of every page.
  constexpr int64_t kFloats = int64_t{64} << 20, kPiece = int64_t{1} << 20;
  constexpr int64_t kStreams = 4, kStream = kPiece / kStreams, kStep = 256, kAhead = 512,
                    kLine = 16;
  Buffer<float> x;
  x.resize_zero(kFloats);
  Buffer<float> sums(kFloats / kPiece);
  const double seconds = best_seconds(4, [&] {
    parallel_for(kFloats / kPiece, [&](int64_t i) {
      float sum = 0;
      for (int64_t k = 0; k < kStream; k += kStep) {
        for (int64_t s = 0; s < kStreams; ++s) {
          const float* at = x.data() + i * kPiece + s * kStream + k;
          for (int64_t line = 0; line < kStep; line += kLine)
            __builtin_prefetch(at + kAhead + line);
          sum += kernels<float>().dot(at, at, kStep);
        }
      }
      sums[i] = sum;
    });
  });
  return double(x.bytes()) / seconds / 1e9;
}

}  // namespace shenhong
