#include "model/mla.h"

#include <algorithm>

#include "core/parallel.h"
#include "kernels/matmul.h"
#include "model/rmsnorm.h"

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
  const int N = B * T, Dqk = Dn_ + Dr_, Rq = q_lora_rank_;
  s.q.resize(int64_t(N) * H_ * Dqk);
  if (Rq > 0) {
    s.cq_raw.resize(int64_t(N) * Rq);
    s.cq.resize(int64_t(N) * Rq);
    matmul_nt(x, q_a_proj.w(), s.cq_raw.data(), N, Rq, D_, Write::kReplace);
    rmsnorm(s.cq_raw.data(), q_a_layernorm, s.cq.data(), s.cq_rstd, N, eps_);
    matmul_nt(s.cq.data(), q_b_proj.w(), s.q.data(), N, H_ * Dqk, Rq, Write::kReplace);
  } else {
    matmul_nt(x, q_proj.w(), s.q.data(), N, H_ * Dqk, D_, Write::kReplace);
  }

  s.ckv_raw.resize(int64_t(N) * Rkv_);
  s.ckv.resize(int64_t(N) * Rkv_);
  s.k_rope.resize(int64_t(N) * Dr_);
  s.kv.resize(int64_t(N) * H_ * (Dn_ + Dv_));
  const Real* w_rope = kv_a_proj_with_mqa.w() + int64_t(Rkv_) * D_;
  matmul_nt(x, kv_a_proj_with_mqa.w(), s.ckv_raw.data(), N, Rkv_, D_, Write::kReplace);
  matmul_nt(x, w_rope, s.k_rope.data(), N, Dr_, D_, Write::kReplace);
  rmsnorm(s.ckv_raw.data(), kv_a_layernorm, s.ckv.data(), s.ckv_rstd, N, eps_);
  matmul_nt(s.ckv.data(), kv_b_proj.w(), s.kv.data(), N, H_ * (Dn_ + Dv_), Rkv_, Write::kReplace);

  parallel_ranges(N, 64, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      rope.rotate(s.q.data() + n * H_ * Dqk + Dn_, H_, Dqk, int(n % T));
      rope.rotate(s.k_rope.data() + n * Dr_, 1, Dr_, int(n % T));
    }
  });

  attend(B, T, s);
  matmul_nt(s.o.data(), o_proj.w(), y, N, D_, H_ * Dv_, Write::kAdd);
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
void Mla<Real>::attend(int B, int T, Saved& s) const {
  const int Dqk = Dn_ + Dr_;
  const int64_t q_stride = int64_t(H_) * Dqk, kv_stride = int64_t(H_) * (Dn_ + Dv_),
                o_stride = int64_t(H_) * Dv_;
  s.o.resize(int64_t(B) * T * o_stride);
  parallel_for(int64_t(B) * H_, [&](int64_t item) {
    const int64_t first = item / H_ * T;  // this sequence's first row
    const int h = int(item % H_);
    const Real* q = s.q.data() + first * q_stride + h * Dqk;
    const Real* kv = s.kv.data() + first * kv_stride + h * (Dn_ + Dv_);
    Real* o = s.o.data() + first * o_stride + h * Dv_;
    thread_local Buffer<Real> k, p;
    k.resize(int64_t(T) * Dqk);
    p.resize(int64_t(kQueryBlock) * T);
    gather_keys(kv, kv_stride, s.k_rope.data() + first * Dr_, k.data(), T, Dn_, Dr_);
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
                         const Rope<Real>& rope, const Saved& s) {
  const int N = B * T, Dqk = Dn_ + Dr_, Rq = q_lora_rank_;
  Buffer<Real> d_o(int64_t(N) * H_ * Dv_), dq(s.q.size()), dkv(s.kv.size()),
      dk_rope(s.k_rope.size());
  matmul_nn(dy, o_proj.w(), d_o.data(), N, H_ * Dv_, D_, Write::kReplace);
  matmul_tn(dy, s.o.data(), o_proj.dw(), D_, H_ * Dv_, N, Write::kAdd);
  attend_backward(d_o.data(), B, T, s, dq.data(), dkv.data(), dk_rope.data());

  parallel_ranges(N, 64, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      rope.rotate_back(dq.data() + n * H_ * Dqk + Dn_, H_, Dqk, int(n % T));
      rope.rotate_back(dk_rope.data() + n * Dr_, 1, Dr_, int(n % T));
    }
  });

  Buffer<Real> dckv(s.ckv.size()), dckv_raw;
  dckv_raw.resize_zero(s.ckv.size());
  matmul_nn(dkv.data(), kv_b_proj.w(), dckv.data(), N, Rkv_, H_ * (Dn_ + Dv_), Write::kReplace);
  matmul_tn(dkv.data(), s.ckv.data(), kv_b_proj.dw(), H_ * (Dn_ + Dv_), Rkv_, N, Write::kAdd);
  rmsnorm_backward(dckv.data(), s.ckv_raw.data(), kv_a_layernorm, s.ckv_rstd, dckv_raw.data(), N);
  const int64_t rope_rows = int64_t(Rkv_) * D_;
  matmul_nn(dk_rope.data(), kv_a_proj_with_mqa.w() + rope_rows, dx, N, D_, Dr_, Write::kAdd);
  matmul_tn(dk_rope.data(), x, kv_a_proj_with_mqa.dw() + rope_rows, Dr_, D_, N, Write::kAdd);
  matmul_nn(dckv_raw.data(), kv_a_proj_with_mqa.w(), dx, N, D_, Rkv_, Write::kAdd);
  matmul_tn(dckv_raw.data(), x, kv_a_proj_with_mqa.dw(), Rkv_, D_, N, Write::kAdd);

  if (Rq > 0) {
    Buffer<Real> dcq(s.cq.size()), dcq_raw;
    dcq_raw.resize_zero(s.cq.size());
    matmul_nn(dq.data(), q_b_proj.w(), dcq.data(), N, Rq, H_ * Dqk, Write::kReplace);
    matmul_tn(dq.data(), s.cq.data(), q_b_proj.dw(), H_ * Dqk, Rq, N, Write::kAdd);
    rmsnorm_backward(dcq.data(), s.cq_raw.data(), q_a_layernorm, s.cq_rstd, dcq_raw.data(), N);
    matmul_nn(dcq_raw.data(), q_a_proj.w(), dx, N, D_, Rq, Write::kAdd);
    matmul_tn(dcq_raw.data(), x, q_a_proj.dw(), Rq, D_, N, Write::kAdd);
  } else {
    matmul_nn(dq.data(), q_proj.w(), dx, N, D_, H_ * Dqk, Write::kAdd);
    matmul_tn(dq.data(), x, q_proj.dw(), H_ * Dqk, D_, N, Write::kAdd);
  }
}

// The attention weights are computed again from q and k: keeping them would cost B·H·T² numbers.
template <class Real>
void Mla<Real>::attend_backward(const Real* d_o, int B, int T, const Saved& s, Real* dq, Real* dkv,
                                Real* dk_rope) const {
  const int Dqk = Dn_ + Dr_;
  const int64_t q_stride = int64_t(H_) * Dqk, kv_stride = int64_t(H_) * (Dn_ + Dv_),
                o_stride = int64_t(H_) * Dv_;
  Buffer<Real> dk_rope_of_head(int64_t(B) * H_ * T * Dr_);  // summed over heads below, in order
  parallel_for(int64_t(B) * H_, [&](int64_t item) {
    const int64_t first = item / H_ * T;
    const int h = int(item % H_);
    const Real* q = s.q.data() + first * q_stride + h * Dqk;
    const Real* kv = s.kv.data() + first * kv_stride + h * (Dn_ + Dv_);
    const Real* dout = d_o + first * o_stride + h * Dv_;
    Real* dq_h = dq + first * q_stride + h * Dqk;
    Real* dkv_h = dkv + first * kv_stride + h * (Dn_ + Dv_);
    thread_local Buffer<Real> k, dk, dv, p, dp;
    k.resize(int64_t(T) * Dqk);
    dk.resize_zero(int64_t(T) * Dqk);
    dv.resize_zero(int64_t(T) * Dv_);
    p.resize(int64_t(kQueryBlock) * T);
    dp.resize(int64_t(kQueryBlock) * T);
    gather_keys(kv, kv_stride, s.k_rope.data() + first * Dr_, k.data(), T, Dn_, Dr_);
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
