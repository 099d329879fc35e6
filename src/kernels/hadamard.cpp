#include "kernels/hadamard.h"

#include <algorithm>

#include "core/parallel.h"

namespace shenhong {

void hadamard(uint16_t signs, const float* x, float* out, int rows, int cols) {
  parallel_for(hadamard_rows(rows) / kHadamard, [&](int64_t block) {
    const int first = int(block) * kHadamard, present = std::min(kHadamard, rows - first);
    float* y = out + int64_t(first) * cols;
    for (int r = 0; r < present; ++r) {
      const float factor = signs >> r & 1 ? -0.25f : 0.25f;
      const float* row = x + int64_t(first + r) * cols;
      for (int c = 0; c < cols; ++c) y[int64_t(r) * cols + c] = factor * row[c];
    }
    std::fill_n(y + int64_t(present) * cols, int64_t(kHadamard - present) * cols, 0.0f);
    for (int half = 1; half < kHadamard; half *= 2)
      for (int r = 0; r < kHadamard; ++r) {
        if (r & half) continue;
        float *a = y + int64_t(r) * cols, *b = a + int64_t(half) * cols;
        for (int c = 0; c < cols; ++c) {
          const float sum = a[c] + b[c], difference = a[c] - b[c];
          a[c] = sum;
          b[c] = difference;
        }
      }
  });
}

}  // namespace shenhong
