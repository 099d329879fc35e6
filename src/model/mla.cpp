#include "model/mla.h"

#include <algorithm>

#include "core/parallel.h"
#include "kernels/kernels.h"
#include "model/linear.h"
#include "model/rmsnorm.h"
#include "model/step_times.h"

namespace shenhong {
namespace {

// Queries that meet the keys together. Keys past a block's last query are never touched, so half
// of the T × T square costs nothing but the blocks on its diagonal.
constexpr int kQueryBlock = 64;

}  // namespace

template <class Real>
Mla<Real>::Mla(const ModelConfig& config, const std::string& prefix)
    : D_(config.hidden_size),
      H_(config.num_attention_heads),
      Dn_(config.qk_nope_head_dim),
      Dr_(config.qk_rope_head_dim),
      Dv_(config.v_head_dim),
      Rkv_(config.kv_lora_rank),
      q_lora_rank_(config.q_lora_rank),
      eps_(config.rms_norm_eps),
      scale_(Real(config.attention_scale())) {
  using P = Parameter<Real>;
  const int Dq = H_ * (Dn_ + Dr_), Rq = q_lora_rank_;
  if (Rq > 0) {
    q_a_proj = P::matrix(prefix + "q_a_proj.weight", Rq, D_);
    q_a_layernorm = P::vector(prefix + "q_a_layernorm.weight", Rq);
    q_b_proj = P::matrix(prefix + "q_b_proj.weight", Dq, Rq);
  } else {
    q_proj = P::matrix(prefix + "q_proj.weight", Dq, D_);
  }
  kv_a_proj_with_mqa = P::matrix(prefix + "kv_a_proj_with_mqa.weight", Rkv_ + Dr_, D_);
  kv_a_layernorm = P::vector(prefix + "kv_a_layernorm.weight", Rkv_);
  kv_b_proj = P::matrix(prefix + "kv_b_proj.weight", H_ * (Dn_ + Dv_), Rkv_);
  o_proj = P::matrix(prefix + "o_proj.weight", D_, H_ * Dv_);
}

template <class Real>
void Mla<Real>::forward(const Real* x, Real* y, int B, int T, const Rope<Real>& rope,
                        Saved& s) const {
  const Timed timed(Part::kProjections);
  const int N = B * T, Dqk = Dn_ + Dr_, Rq = q_lora_rank_;
  Real* q = s.q.room(N, H_ * Dqk);
  if (Rq > 0) {
    Real *cq_raw = s.cq_raw.room(N, Rq), *cq = s.cq.room(N, Rq);
    linear(x, q_a_proj, cq_raw, N, Write::kReplace);
    rmsnorm(cq_raw, q_a_layernorm, cq, s.cq_rstd, N, eps_);
    linear(cq, q_b_proj, q, N, Write::kReplace);
  } else {
    linear(x, q_proj, q, N, Write::kReplace);
  }

  Real *ckv_raw = s.ckv_raw.room(N, Rkv_), *ckv = s.ckv.room(N, Rkv_);
  Real *k_rope = s.k_rope.room(N, Dr_), *kv = s.kv.room(N, H_ * (Dn_ + Dv_));
  linear(x, kv_a_proj_with_mqa, {0, Rkv_}, ckv_raw, N, Write::kReplace);
  linear(x, kv_a_proj_with_mqa, {Rkv_, Dr_}, k_rope, N, Write::kReplace);
  rmsnorm(ckv_raw, kv_a_layernorm, ckv, s.ckv_rstd, N, eps_);
  linear(ckv, kv_b_proj, kv, N, Write::kReplace);

  parallel_ranges(N, 64, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      rope.rotate(q + n * H_ * Dqk + Dn_, H_, Dqk, int(n % T));
      rope.rotate(k_rope + n * Dr_, 1, Dr_, int(n % T));
    }
  });

  Real* o = s.o.room(N, H_ * Dv_);
  attend({q, kv, k_rope}, o, B, T);
  linear(o, o_proj, y, N, Write::kAdd);
  Saved::for_each_activation(s, [&](SavedActivation<Real>& a, bool linear_reads) {
    a.keep(linear_reads ? kept_inputs(o_proj) : kept_stream(o_proj));
  });
}

namespace {

// The keys of one head, side by side: k [T, Dn+Dr] = [k_nope | k_rope].
template <class Real>
void gather_keys(const Real* k_nope, int64_t stride, const Real* k_rope, Real* k, int T, int Dn,
                 int Dr) {
  for (int t = 0; t < T; ++t, k += Dn + Dr) {
    std::copy_n(k_nope + t * stride, Dn, k);
    std::copy_n(k_rope + int64_t(t) * Dr, Dr, k + Dn);
  }
}

// p [rows, end] = softmax of scale · q kᵀ for queries begin .. end-1 over the keys they may see.
template <class Real>
void attention_weights(const Real* q, int64_t q_stride, const Real* k, Real* p, int begin, int end,
                       int Dqk, Real scale) {
  const int rows = end - begin;
  kernels<Real>().gemm({Layout::kNT, rows, end, Dqk, q, q_stride, k, Dqk, p, end, false});
  for (int r = 0; r < rows; ++r) {
    Real* row = p + int64_t(r) * end;
    const int seen = begin + r + 1;
    kernels<Real>().softmax(row, scale, seen);
    std::fill(row + seen, row + end, Real(0));
  }
}

}  // namespace

template <class Real>
void Mla<Real>::attend(const Heads& heads, Real* o_all, int B, int T) const {
  const Timed timed(Part::kAttention);
  const int Dqk = Dn_ + Dr_;
  const int64_t q_stride = int64_t(H_) * Dqk, kv_stride = int64_t(H_) * (Dn_ + Dv_),
                o_stride = int64_t(H_) * Dv_;
  parallel_for(int64_t(B) * H_, [&](int64_t item) {
    const int64_t first = item / H_ * T;  // this sequence's first row
    const int h = int(item % H_);
    const Real* q = heads.q + first * q_stride + h * Dqk;
    const Real* kv = heads.kv + first * kv_stride + h * (Dn_ + Dv_);
    Real* o = o_all + first * o_stride + h * Dv_;
    thread_local Buffer<Real> k, p;
    k.resize(int64_t(T) * Dqk);
    p.resize(int64_t(kQueryBlock) * T);
    gather_keys(kv, kv_stride, heads.k_rope + first * Dr_, k.data(), T, Dn_, Dr_);
    for (int begin = 0; begin < T; begin += kQueryBlock) {
      const int end = std::min(begin + kQueryBlock, T);
      attention_weights(q + begin * q_stride, q_stride, k.data(), p.data(), begin, end, Dqk,
                        scale_);
      kernels<Real>().gemm({Layout::kNN, end - begin, Dv_, end, p.data(), end, kv + Dn_, kv_stride,
                            o + begin * o_stride, o_stride, false});
    }
  });
}

template <class Real>
void Mla<Real>::backward(const Real* dy, const Real* x, Real* dx, int B, int T,
                         const Rope<Real>& rope, Saved& s) {
  const Timed timed(Part::kProjections);
  const int N = B * T, Dqk = Dn_ + Dr_, Rq = q_lora_rank_;
  Buffer<Real> d_o(int64_t(N) * H_ * Dv_), dq(int64_t(N) * H_ * Dqk),
      dkv(int64_t(N) * H_ * (Dn_ + Dv_)), dk_rope(int64_t(N) * Dr_);
  linear_backward_input(dy, o_proj, d_o.data(), N, Write::kReplace);
  linear_backward_weight(dy, s.o.numbers(), o_proj, N);
  attend_backward(d_o.data(), {s.q.numbers(), s.kv.numbers(), s.k_rope.numbers()}, B, T, dq.data(),
                  dkv.data(), dk_rope.data());

  parallel_ranges(N, 64, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      rope.rotate_back(dq.data() + n * H_ * Dqk + Dn_, H_, Dqk, int(n % T));
      rope.rotate_back(dk_rope.data() + n * Dr_, 1, Dr_, int(n % T));
    }
  });

  Buffer<Real> dckv(int64_t(N) * Rkv_), dckv_raw;
  dckv_raw.resize_zero(dckv.size());
  linear_backward_input(dkv.data(), kv_b_proj, dckv.data(), N, Write::kReplace);
  linear_backward_weight(dkv.data(), s.ckv.numbers(), kv_b_proj, N);
  rmsnorm_backward(dckv.data(), s.ckv_raw.numbers(), kv_a_layernorm, s.ckv_rstd, dckv_raw.data(),
                   N);
  const Rows latent = {0, Rkv_}, rotary = {Rkv_, Dr_};
  linear_backward_input(dk_rope.data(), kv_a_proj_with_mqa, rotary, dx, N, Write::kAdd);
  linear_backward_weight(dk_rope.data(), x, kv_a_proj_with_mqa, rotary, N);
  linear_backward_input(dckv_raw.data(), kv_a_proj_with_mqa, latent, dx, N, Write::kAdd);
  linear_backward_weight(dckv_raw.data(), x, kv_a_proj_with_mqa, latent, N);

  if (Rq > 0) {
    Buffer<Real> dcq(int64_t(N) * Rq), dcq_raw;
    dcq_raw.resize_zero(dcq.size());
    linear_backward_input(dq.data(), q_b_proj, dcq.data(), N, Write::kReplace);
    linear_backward_weight(dq.data(), s.cq.numbers(), q_b_proj, N);
    rmsnorm_backward(dcq.data(), s.cq_raw.numbers(), q_a_layernorm, s.cq_rstd, dcq_raw.data(), N);
    linear_backward_input(dcq_raw.data(), q_a_proj, dx, N, Write::kAdd);
    linear_backward_weight(dcq_raw.data(), x, q_a_proj, N);
  } else {
    linear_backward_input(dq.data(), q_proj, dx, N, Write::kAdd);
    linear_backward_weight(dq.data(), x, q_proj, N);
  }
  Saved::for_each_activation(s, [](SavedActivation<Real>& a, bool) { a.drop(); });
}

// The attention weights are computed again from q and k: keeping them would cost B·H·T² numbers.
template <class Real>
void Mla<Real>::attend_backward(const Real* d_o, const Heads& heads, int B, int T, Real* dq,
                                Real* dkv, Real* dk_rope) const {
  const Timed timed(Part::kAttention);
  const int Dqk = Dn_ + Dr_;
  const int64_t q_stride = int64_t(H_) * Dqk, kv_stride = int64_t(H_) * (Dn_ + Dv_),
                o_stride = int64_t(H_) * Dv_;
  Buffer<Real> dk_rope_of_head(int64_t(B) * H_ * T * Dr_);  // summed over heads below, in order
  parallel_for(int64_t(B) * H_, [&](int64_t item) {
    const int64_t first = item / H_ * T;
    const int h = int(item % H_);
    const Real* q = heads.q + first * q_stride + h * Dqk;
    const Real* kv = heads.kv + first * kv_stride + h * (Dn_ + Dv_);
    const Real* dout = d_o + first * o_stride + h * Dv_;
    Real* dq_h = dq + first * q_stride + h * Dqk;
    Real* dkv_h = dkv + first * kv_stride + h * (Dn_ + Dv_);
    thread_local Buffer<Real> k, dk, dv, p, dp;
    k.resize(int64_t(T) * Dqk);
    dk.resize_zero(int64_t(T) * Dqk);
    dv.resize_zero(int64_t(T) * Dv_);
    p.resize(int64_t(kQueryBlock) * T);
    dp.resize(int64_t(kQueryBlock) * T);
    gather_keys(kv, kv_stride, heads.k_rope + first * Dr_, k.data(), T, Dn_, Dr_);
    for (int begin = 0; begin < T; begin += kQueryBlock) {
      const int end = std::min(begin + kQueryBlock, T), rows = end - begin;
      const Real* q_b = q + begin * q_stride;
      const Real* dout_b = dout + begin * o_stride;
      attention_weights(q_b, q_stride, k.data(), p.data(), begin, end, Dqk, scale_);
      // o = p v
      kernels<Real>().gemm({Layout::kNT, rows, end, Dv_, dout_b, o_stride, kv + Dn_, kv_stride,
                            dp.data(), end, false});
      kernels<Real>().gemm(
          {Layout::kTN, end, Dv_, rows, p.data(), end, dout_b, o_stride, dv.data(), Dv_, true});
      for (int r = 0; r < rows; ++r)
        kernels<Real>().softmax_backward(p.data() + int64_t(r) * end, dp.data() + int64_t(r) * end,
                                         scale_, end);
      // scores = q kᵀ
      kernels<Real>().gemm({Layout::kNN, rows, Dqk, end, dp.data(), end, k.data(), Dqk,
                            dq_h + begin * q_stride, q_stride, false});
      kernels<Real>().gemm(
          {Layout::kTN, end, Dqk, rows, dp.data(), end, q_b, q_stride, dk.data(), Dqk, true});
    }
    Real* dk_rope_h = dk_rope_of_head.data() + item * T * Dr_;
    for (int t = 0; t < T; ++t) {
      std::copy_n(dk.data() + int64_t(t) * Dqk, Dn_, dkv_h + t * kv_stride);
      std::copy_n(dv.data() + int64_t(t) * Dv_, Dv_, dkv_h + t * kv_stride + Dn_);
      std::copy_n(dk.data() + int64_t(t) * Dqk + Dn_, Dr_, dk_rope_h + int64_t(t) * Dr_);
    }
  });
  parallel_for(B, [&](int64_t b) {
    const int64_t count = int64_t(T) * Dr_;
    Real* sum = dk_rope + b * count;
    std::fill(sum, sum + count, Real(0));
    for (int h = 0; h < H_; ++h)
      kernels<Real>().axpy(Real(1), dk_rope_of_head.data() + (b * H_ + h) * count, sum, count);
  });
}

template class Mla<float>;
template class Mla<double>;

}  // namespace shenhong
