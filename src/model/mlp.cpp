#include "model/mlp.h"

#include "core/parallel.h"
#include "kernels/matmul.h"

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
  const int D = gate_proj.cols, F = gate_proj.rows;
  const int64_t size = int64_t(N) * F;
  s.a.resize(size);
  s.b.resize(size);
  Buffer<Real> h(size);
  matmul_nt(x, gate_proj.w(), s.a.data(), N, F, D, Write::kReplace);
  matmul_nt(x, up_proj.w(), s.b.data(), N, F, D, Write::kReplace);
  parallel_ranges(size, kGrain, [&](int64_t begin, int64_t end) {
    kernels<Real>().swiglu(s.a.data() + begin, s.b.data() + begin, h.data() + begin, end - begin);
  });
  matmul_nt(h.data(), down_proj.w(), y, N, D, F, Write::kAdd);
}

template <class Real>
void Mlp<Real>::backward(const Real* dy, const Real* x, Real* dx, int N, Saved& s) {
  const int D = gate_proj.cols, F = gate_proj.rows;
  const int64_t size = int64_t(N) * F;
  Buffer<Real> dh(size);
  matmul_nn(dy, down_proj.w(), dh.data(), N, F, D, Write::kReplace);
  Buffer<Real>&h = dh, &da = s.a, &db = s.b;  // each takes the place of what it replaces
  parallel_ranges(size, kGrain, [&](int64_t begin, int64_t end) {
    kernels<Real>().swiglu_backward(dh.data() + begin, s.a.data() + begin, s.b.data() + begin,
                                    da.data() + begin, db.data() + begin, h.data() + begin,
                                    end - begin);
  });
  matmul_tn(dy, h.data(), down_proj.dw(), D, F, N, Write::kAdd);
  matmul_tn(db.data(), x, up_proj.dw(), F, D, N, Write::kAdd);
  matmul_nn(db.data(), up_proj.w(), dx, N, D, F, Write::kAdd);
  matmul_tn(da.data(), x, gate_proj.dw(), F, D, N, Write::kAdd);
  matmul_nn(da.data(), gate_proj.w(), dx, N, D, F, Write::kAdd);
}

template class Mlp<float>;
template class Mlp<double>;

}  // namespace shenhong
