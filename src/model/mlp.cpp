#include "model/mlp.h"

#include "core/parallel.h"
#include "kernels/kernels.h"
#include "model/linear.h"

namespace shenhong {
namespace {

constexpr int64_t kGrain = 1 << 14;  // elements of an element-wise loop per work item

}  // namespace

template <class Real>
Mlp<Real>::Mlp(const std::string& prefix, int hidden_size, int intermediate_size)
    : gate_proj(
          Parameter<Real>::matrix(prefix + "gate_proj.weight", intermediate_size, hidden_size)),
      up_proj(Parameter<Real>::matrix(prefix + "up_proj.weight", intermediate_size, hidden_size)),
      down_proj(
          Parameter<Real>::matrix(prefix + "down_proj.weight", hidden_size, intermediate_size)) {}

template <class Real>
void Mlp<Real>::forward(const Real* x, Real* y, int N, Saved& s) const {
  const int F = gate_proj.rows;
  const int64_t size = int64_t(N) * F;
  Real *a = s.a.room(N, F), *b = s.b.room(N, F);
  Buffer<Real> h(size);
  linear(x, gate_proj, a, N, Write::kReplace);
  linear(x, up_proj, b, N, Write::kReplace);
  parallel_ranges(size, kGrain, [&](int64_t begin, int64_t end) {
    kernels<Real>().swiglu(a + begin, b + begin, h.data() + begin, end - begin);
  });
  linear(h.data(), down_proj, y, N, Write::kAdd);
  s.a.keep(kept_inputs(down_proj));
  s.b.keep(kept_inputs(down_proj));
}

template <class Real>
void Mlp<Real>::backward(const Real* dy, const Real* x, Real* dx, int N, Saved& s) {
  const int F = gate_proj.rows;
  const int64_t size = int64_t(N) * F;
  Buffer<Real> dh(size);
  linear_backward_input(dy, down_proj, dh.data(), N, Write::kReplace);
  Real *a = s.a.numbers(), *b = s.b.numbers();
  Real *h = dh.data(), *da = a, *db = b;  // each takes the place of what it replaces
  parallel_ranges(size, kGrain, [&](int64_t begin, int64_t end) {
    kernels<Real>().swiglu_backward(dh.data() + begin, a + begin, b + begin, da + begin, db + begin,
                                    h + begin, end - begin);
  });
  linear_backward_weight(dy, h, down_proj, N);
  linear_backward_weight(db, x, up_proj, N);
  linear_backward_input(db, up_proj, dx, N, Write::kAdd);
  linear_backward_weight(da, x, gate_proj, N);
  linear_backward_input(da, gate_proj, dx, N, Write::kAdd);
  s.a.drop();
  s.b.drop();
}

template class Mlp<float>;
template class Mlp<double>;

}  // namespace shenhong
