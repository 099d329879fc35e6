#include "infer/cached_attention.h"

#include <algorithm>

#include "kernels/kernels.h"

namespace shenhong {

CachedAttention::CachedAttention(const ModelConfig& config) : config_(config) {}

void CachedAttention::project(const AttentionWeights& weights, const float* x, int C) {
  const int D = config_.hidden_size, Rq = config_.q_lora_rank, Rkv = config_.kv_lora_rank;
  const int R = Rkv + config_.qk_rope_head_dim;
  const float eps = float(config_.rms_norm_eps);
  const auto norm = [&](float* row, const Buffer<float>& gain) {
    float rstd;
    kernels<float>().rmsnorm(row, gain.data(), row, &rstd, 1, int(gain.size()), eps);
  };
  q_.resize(int64_t(C + kQueryPadding) * config_.num_attention_heads * config_.qk_head_dim());
  rows_.resize(int64_t(C) * R);
  cq_.resize(int64_t(C) * Rq);
  x_.set(x, C, D);
  const PanelProduct products[] = {
      Rq == 0 ? x_.times(weights.q_proj, q_.data(), Write::kReplace)
              : x_.times(weights.q_a_proj, cq_.data(), Write::kReplace),
      x_.times(weights.kv_a_proj_with_mqa, rows_.data(), Write::kReplace)};
  run_products(products);
  for (int c = 0; c < C; ++c) norm(rows_.data() + int64_t(c) * R, weights.kv_a_layernorm);
  if (Rq == 0) return;
  for (int c = 0; c < C; ++c) norm(cq_.data() + int64_t(c) * Rq, weights.q_a_layernorm);
  cq_in_.set(cq_.data(), C, Rq);
  const PanelProduct up = cq_in_.times(weights.q_b_proj, q_.data(), Write::kReplace);
  run_products({&up, 1});
}

void CachedAttention::place(const Segment& segment, int row, const Rope<float>& rope, int layer) {
  const Sequence& sequence = *segment.sequence;
  const int H = config_.num_attention_heads, Dqk = config_.qk_head_dim();
  const int Rkv = config_.kv_lora_rank, R = Rkv + config_.qk_rope_head_dim;
  for (int i = 0; i < segment.count; ++i) {
    const int position = sequence.read() + i;
    float* q = q_.data() + int64_t(row + i) * H * Dqk;
    float* kv = rows_.data() + int64_t(row + i) * R;
    rope.rotate(q + config_.qk_nope_head_dim, H, Dqk, position);
    rope.rotate(kv + Rkv, 1, R, position);
    const int page = sequence.pages()[size_t(position / kPageTokens)];
    std::copy_n(kv, R, sequence.pool().rows(page, layer) + int64_t(position % kPageTokens) * R);
  }
}

void CachedAttention::forward(const AttentionWeights& weights, const Rope<float>& rope,
                              const float* x, float* y, std::span<const Segment> segments,
                              int layer) {
  int C = 0;
  for (const Segment& segment : segments) C += segment.count;
  project(weights, x, C);

  Attention a(config_);
  o_.resize(int64_t(C) * a.H * a.Dv);
  a.layer = layer;
  a.heads = weights.heads;
  parts_.clear();
  int row = 0;
  for (const Segment& segment : segments) {
    place(segment, row, rope, layer);
    const Sequence& sequence = *segment.sequence;
    a.pool = &sequence.pool();
    a.pages = sequence.pages();
    a.T = sequence.read();
    const int prompt = std::clamp(sequence.prompt_tokens() - a.T, 0, segment.count);
    const auto add = [&](AttentionForm form, int count) {
      if (count == 0) return;
      a.form = form;
      a.C = count;
      a.T += count;
      a.q = q_.data() + int64_t(row) * a.H * (a.Dn + a.Dr);
      a.o = o_.data() + int64_t(row) * a.H * a.Dv;
      parts_.push_back(a);
      row += count;
    };
    add(AttentionForm::kExpanded, prompt);
    add(AttentionForm::kAbsorbed, segment.count - prompt);
  }
  attend(parts_);
  o_in_.set(o_.data(), C, a.H * a.Dv);
  const PanelProduct out = o_in_.times(weights.o_proj, y, Write::kAdd);
  run_products({&out, 1});
}

}  // namespace shenhong
