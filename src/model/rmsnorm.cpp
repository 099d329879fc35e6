#include "model/rmsnorm.h"

#include "core/parallel.h"
#include "kernels/kernels.h"
#include "model/step_times.h"

namespace shenhong {
namespace {

// Rows per work item. The gain's gradient is summed inside an item, then over items in order, so
// this constant and not the number of threads decides the rounding.
constexpr int64_t kRows = 128;

}  // namespace

template <class Real>
void rmsnorm(const Real* x, const Parameter<Real>& gain, Real* y, Buffer<Real>& rstd, int N,
             double eps) {
  const Timed timed(Part::kNorms);
  const int D = gain.cols;
  rstd.resize(N);
  parallel_ranges(N, kRows, [&](int64_t begin, int64_t end) {
    kernels<Real>().rmsnorm(x + begin * D, gain.w(), y + begin * D, rstd.data() + begin,
                            int(end - begin), D, Real(eps));
  });
}

template <class Real>
void rmsnorm_backward(const Real* dy, const Real* x, Parameter<Real>& gain,
                      const Buffer<Real>& rstd, Real* dx, int N) {
  const Timed timed(Part::kNorms);
  const int D = gain.cols;
  const int64_t pieces = (N + kRows - 1) / kRows;
  Buffer<Real> partial;
  partial.resize_zero(pieces * D);
  parallel_ranges(N, kRows, [&](int64_t begin, int64_t end) {
    kernels<Real>().rmsnorm_backward(dy + begin * D, x + begin * D, gain.w(), rstd.data() + begin,
                                     dx + begin * D, partial.data() + begin / kRows * D,
                                     int(end - begin), D);
  });
  for (int64_t piece = 0; piece < pieces; ++piece)
    kernels<Real>().axpy(Real(1), partial.data() + piece * D, gain.dw(), D);
}

template void rmsnorm(const float*, const Parameter<float>&, float*, Buffer<float>&, int, double);
template void rmsnorm(const double*, const Parameter<double>&, double*, Buffer<double>&, int,
                      double);
template void rmsnorm_backward(const float*, const float*, Parameter<float>&, const Buffer<float>&,
                               float*, int);
template void rmsnorm_backward(const double*, const double*, Parameter<double>&,
                               const Buffer<double>&, double*, int);

}  // namespace shenhong
