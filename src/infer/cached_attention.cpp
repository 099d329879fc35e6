#include "infer/cached_attention.h"

#include "kernels/kernels.h"

namespace shenhong {

CachedAttention::CachedAttention(const ModelConfig& config) : config_(config) {}

void CachedAttention::project(const AttentionWeights& weights, const float* x, float* rows, int C) {
  const int D = config_.hidden_size, Rq = config_.q_lora_rank, Rkv = config_.kv_lora_rank;
  const int R = Rkv + config_.qk_rope_head_dim;
  const float eps = float(config_.rms_norm_eps);
  const auto norm = [&](float* row, const Buffer<float>& gain) {
    float rstd;
    kernels<float>().rmsnorm(row, gain.data(), row, &rstd, 1, int(gain.size()), eps);
  };
  q_.resize(int64_t(C) * config_.num_attention_heads * config_.qk_head_dim());
  cq_.resize(int64_t(C) * Rq);
  x_.set(x, C, D);
  const PanelProduct products[] = {Rq == 0
                                       ? x_.times(weights.q_proj, q_.data(), Write::kReplace)
                                       : x_.times(weights.q_a_proj, cq_.data(), Write::kReplace),
                                   x_.times(weights.kv_a_proj_with_mqa, rows, Write::kReplace)};
  run_products(products);
  for (int c = 0; c < C; ++c) norm(rows + int64_t(c) * R, weights.kv_a_layernorm);
  if (Rq == 0) return;
  for (int c = 0; c < C; ++c) norm(cq_.data() + int64_t(c) * Rq, weights.q_a_layernorm);
  cq_in_.set(cq_.data(), C, Rq);
  const PanelProduct up = cq_in_.times(weights.q_b_proj, q_.data(), Write::kReplace);
  run_products({&up, 1});
}

void CachedAttention::forward(const AttentionWeights& weights, const Rope<float>& rope,
                              const float* x, float* y, int C, int layer, KvCache& cache) {
  const int past = cache.size(), R = cache.row_size();
  Attention a(config_);
  project(weights, x, cache.rows(layer) + int64_t(past) * R, C);
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
  a.heads = weights.heads;
  a.o = o_.data();
  absorbing_is_cheaper(a) ? attend_absorbed(a) : attend_expanded(a);
  o_in_.set(o_.data(), C, a.H * a.Dv);
  const PanelProduct out = o_in_.times(weights.o_proj, y, Write::kAdd);
  run_products({&out, 1});
}

}  // namespace shenhong
