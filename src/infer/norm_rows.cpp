#include "infer/norm_rows.h"

#include "core/parallel.h"
#include "kernels/kernels.h"

namespace shenhong {
namespace {

constexpr int kRows = 16;  // per work item

}  // namespace

void norm_rows(const float* x, const Buffer<float>& gain, float* y, int C, double eps) {
  const int64_t D = gain.size();
  parallel_ranges(C, kRows, [&](int64_t begin, int64_t end) {
    float rstd[kRows];
    kernels<float>().rmsnorm(x + begin * D, gain.data(), y + begin * D, rstd, int(end - begin),
                             int(D), float(eps));
  });
}

}  // namespace shenhong
