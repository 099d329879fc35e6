#include "model/block.h"

#include <algorithm>

#include "model/rmsnorm.h"
#include "model/step_times.h"

namespace shenhong {

template <class Real>
Block<Real>::Block(const ModelConfig& config, int layer, bool is_moe)
    : self_attn(config, "model.layers." + std::to_string(layer) + ".self_attn."),
      D_(config.hidden_size),
      eps_(config.rms_norm_eps) {
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  input_layernorm = Parameter<Real>::vector(prefix + "input_layernorm.weight", D_);
  post_attention_layernorm =
      Parameter<Real>::vector(prefix + "post_attention_layernorm.weight", D_);
  if (is_moe) {
    moe.emplace(config, prefix + "mlp.");
  } else {
    mlp = Mlp<Real>(prefix + "mlp.", D_, config.intermediate_size);
  }
}

template <class Real>
void Block<Real>::forward(const Real* x, Real* y, int B, int T, const Rope<Real>& rope) {
  const int N = B * T;
  const int64_t size = int64_t(N) * D_;
  Buffer<Real> normed(size);
  Real* middle = saved.middle.room(N, D_);
  rmsnorm(x, input_layernorm, normed.data(), saved.rstd_in, N, eps_);
  std::copy_n(x, size, middle);
  self_attn.forward(normed.data(), middle, B, T, rope, saved.attention);

  rmsnorm(middle, post_attention_layernorm, normed.data(), saved.rstd_middle, N, eps_);
  std::copy_n(middle, size, y);
  if (moe) {
    moe->forward(normed.data(), y, N, saved.moe);
  } else {
    const Timed timed(Part::kDense);
    mlp.forward(normed.data(), y, N, saved.mlp);
  }
  saved.middle.keep(kept_stream(self_attn.o_proj));
}

template <class Real>
void Block<Real>::backward(const Real* x, Real* dx, int B, int T, const Rope<Real>& rope) {
  const int N = B * T;
  const int64_t size = int64_t(N) * D_;
  Buffer<Real> normed(size), dnormed, rstd;  // the norms' outputs are computed again
  dnormed.resize_zero(size);
  const Real* middle = saved.middle.numbers();
  rmsnorm(middle, post_attention_layernorm, normed.data(), rstd, N, eps_);
  if (moe) {
    moe->backward(dx, normed.data(), dnormed.data(), N, saved.moe);
  } else {
    const Timed timed(Part::kDense);
    mlp.backward(dx, normed.data(), dnormed.data(), N, saved.mlp);
  }
  rmsnorm_backward(dnormed.data(), middle, post_attention_layernorm, saved.rstd_middle, dx, N);
  saved.middle.drop();

  dnormed.zero();
  rmsnorm(x, input_layernorm, normed.data(), rstd, N, eps_);
  self_attn.backward(dx, normed.data(), dnormed.data(), B, T, rope, saved.attention);
  rmsnorm_backward(dnormed.data(), x, input_layernorm, saved.rstd_in, dx, N);
}

template class Block<float>;
template class Block<double>;

}  // namespace shenhong
