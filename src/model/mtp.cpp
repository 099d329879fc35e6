#include "model/mtp.h"

#include <algorithm>

#include "model/linear.h"
#include "model/rmsnorm.h"
#include "model/step_times.h"

namespace shenhong {
namespace {

// pair [N,2D] = [left | right], each [N,D]
template <class Real>
void join(const Real* left, const Real* right, Real* pair, int N, int D) {
  for (int64_t n = 0; n < N; ++n) {
    std::copy_n(left + n * D, D, pair + 2 * n * D);
    std::copy_n(right + n * D, D, pair + (2 * n + 1) * D);
  }
}

template <class Real>
void split(const Real* pair, Real* left, Real* right, int N, int D) {
  for (int64_t n = 0; n < N; ++n) {
    std::copy_n(pair + 2 * n * D, D, left + n * D);
    std::copy_n(pair + (2 * n + 1) * D, D, right + n * D);
  }
}

}  // namespace

template <class Real>
Mtp<Real>::Mtp(const ModelConfig& config, int layer)
    : block(config, layer, /*is_moe=*/true), D_(config.hidden_size), eps_(config.rms_norm_eps) {
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  enorm = Parameter<Real>::vector(prefix + "enorm.weight", D_);
  hnorm = Parameter<Real>::vector(prefix + "hnorm.weight", D_);
  eh_proj = Parameter<Real>::matrix(prefix + "eh_proj.weight", D_, 2 * D_);
  shared_head_norm = Parameter<Real>::vector(prefix + "shared_head.norm.weight", D_);
}

template <class Real>
void Mtp<Real>::forward(const Real* h, const Real* embedding, Real* out, int B, int T,
                        const Rope<Real>& rope) {
  const Timed timed(Part::kModules);
  const int N = B * T;
  const int64_t size = int64_t(N) * D_;
  Buffer<Real> e(size), hn(size);
  rmsnorm(embedding, enorm, e.data(), saved.rstd_e, N, eps_);
  rmsnorm(h, hnorm, hn.data(), saved.rstd_h, N, eps_);
  Real *pair = saved.pair.room(N, 2 * D_), *x = saved.x.room(N, D_);
  join(e.data(), hn.data(), pair, N, D_);
  linear(pair, eh_proj, x, N, Write::kReplace);
  saved.pair.keep(kept_inputs(eh_proj));
  block.forward(x, out, B, T, rope);
  saved.x.keep(kept_stream(eh_proj));
}

template <class Real>
void Mtp<Real>::backward(Real* dout, const Real* h, const Real* embedding, Real* dh,
                         Real* dembedding, int B, int T, const Rope<Real>& rope) {
  const Timed timed(Part::kModules);
  const int N = B * T;
  const int64_t size = int64_t(N) * D_;
  block.backward(saved.x.numbers(), dout, B, T, rope);
  saved.x.drop();
  Buffer<Real> dpair(2 * size), de(size), dhn(size);
  linear_backward_input(dout, eh_proj, dpair.data(), N, Write::kReplace);
  linear_backward_weight(dout, saved.pair.numbers(), eh_proj, N);
  saved.pair.drop();
  split(dpair.data(), de.data(), dhn.data(), N, D_);
  rmsnorm_backward(dhn.data(), h, hnorm, saved.rstd_h, dh, N);
  rmsnorm_backward(de.data(), embedding, enorm, saved.rstd_e, dembedding, N);
}

template class Mtp<float>;
template class Mtp<double>;

}  // namespace shenhong
