#include "infer/cached_attention.h"

#include "kernels/matmul.h"
#include "model/rmsnorm.h"

namespace shenhong {

CachedAttention::CachedAttention(const ModelConfig& config) : config_(config) {}

void CachedAttention::project_queries(const Mla<float>& mla, const float* x, int C) {
  const int D = config_.hidden_size, Rq = config_.q_lora_rank;
  const int Dq = config_.num_attention_heads * config_.qk_head_dim();
  q_.resize(int64_t(C) * Dq);
  if (Rq == 0) return matmul_nt(x, mla.q_proj.w(), q_.data(), C, Dq, D, Write::kReplace);
  cq_.resize(int64_t(C) * Rq);
  matmul_nt(x, mla.q_a_proj.w(), cq_.data(), C, Rq, D, Write::kReplace);
  rmsnorm(cq_.data(), mla.q_a_layernorm, cq_.data(), rstd_, C, config_.rms_norm_eps);
  matmul_nt(cq_.data(), mla.q_b_proj.w(), q_.data(), C, Dq, Rq, Write::kReplace);
}

// rows [C, Rkv+Dr]: W_DKV and W_KR lie one below the other, so one product gives both parts.
void CachedAttention::append_rows(const Mla<float>& mla, const float* x, float* rows, int C) {
  const int D = config_.hidden_size, Rkv = config_.kv_lora_rank;
  const int R = Rkv + config_.qk_rope_head_dim;
  matmul_nt(x, mla.kv_a_proj_with_mqa.w(), rows, C, R, D, Write::kReplace);
  rstd_.resize(C);
  for (int c = 0; c < C; ++c) {
    float* latent = rows + int64_t(c) * R;
    kernels<float>().rmsnorm(latent, mla.kv_a_layernorm.w(), latent, &rstd_[c], 1, Rkv,
                             float(config_.rms_norm_eps));
  }
}

void CachedAttention::forward(const Mla<float>& mla, const Rope<float>& rope, const float* x,
                              float* y, int C, int layer, KvCache& cache) {
  const int past = cache.size(), R = cache.row_size();
  Attention a(config_);
  project_queries(mla, x, C);
  append_rows(mla, x, cache.rows(layer) + int64_t(past) * R, C);
  for (int c = 0; c < C; ++c) {
    const int Dqk = a.Dn + a.Dr;
    rope.rotate(q_.data() + int64_t(c) * a.H * Dqk + a.Dn, a.H, Dqk, past + c);
    rope.rotate(cache.rows(layer) + int64_t(past + c) * R + a.Rkv, 1, R, past + c);
  }

  o_.resize(int64_t(C) * a.H * a.Dv);
  a.C = C;
  a.T = past + C;
  a.q = q_.data();
  a.rows = cache.rows(layer);
  a.kv_b = mla.kv_b_proj.w();
  a.o = o_.data();
  absorbing_is_cheaper(a) ? attend_absorbed(a) : attend_expanded(a);
  matmul_nt(o_.data(), mla.o_proj.w(), y, C, config_.hidden_size, a.H * a.Dv, Write::kAdd);
}

}  // namespace shenhong
