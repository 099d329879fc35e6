#include "infer/cached_attention.h"

#include <algorithm>

#include "kernels/kernels.h"

namespace shenhong {

CachedAttention::CachedAttention(const ModelConfig& config) : config_(config) {}

namespace {

int count_of(std::span<const CachedRows> all) {
  int count = 0;
  for (const CachedRows& rows : all) count += rows.count;
  return count;
}

}  // namespace

void CachedAttention::project(const AttentionWeights& weights, const float* x, int C,
                              bool queries) {
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
  const auto query = [&] {
    return Rq == 0 ? x_.times(weights.q_proj, q_.data(), Write::kReplace)
                   : x_.times(weights.q_a_proj, cq_.data(), Write::kReplace);
  };
  const auto kept = x_.times(weights.kv_a_proj_with_mqa, rows_.data(), Write::kReplace);
  const PanelProduct products[] = {kept, queries ? query() : kept};
  run_products(std::span(products).first(queries ? 2 : 1));
  for (int c = 0; c < C; ++c) norm(rows_.data() + int64_t(c) * R, weights.kv_a_layernorm);
  if (Rq == 0 || !queries) return;
  for (int c = 0; c < C; ++c) norm(cq_.data() + int64_t(c) * Rq, weights.q_a_layernorm);
  cq_in_.set(cq_.data(), C, Rq);
  const PanelProduct up = cq_in_.times(weights.q_b_proj, q_.data(), Write::kReplace);
  run_products({&up, 1});
}

void CachedAttention::place(const CachedRows& rows, int row, const Rope<float>& rope, int layer,
                            bool queries) {
  const Sequence& sequence = *rows.sequence;
  const int H = config_.num_attention_heads, Dqk = config_.qk_head_dim();
  const int Rkv = config_.kv_lora_rank, R = Rkv + config_.qk_rope_head_dim;
  for (int i = 0; i < rows.count; ++i) {
    const int position = rows.begin + i;
    float* q = q_.data() + int64_t(row + i) * H * Dqk;
    float* kv = rows_.data() + int64_t(row + i) * R;
    if (queries) rope.rotate(q + config_.qk_nope_head_dim, H, Dqk, position);
    rope.rotate(kv + Rkv, 1, R, position);
    const int page = sequence.pages()[size_t(position / kPageTokens)];
    sequence.pool().write(page, layer, position % kPageTokens, kv);
  }
}

void CachedAttention::forward(const AttentionWeights& weights, const Rope<float>& rope,
                              const float* x, float* y, std::span<const CachedRows> all,
                              int layer) {
  const int C = count_of(all);
  project(weights, x, C, /*queries=*/true);

  Attention a(config_);
  o_.resize(int64_t(C) * a.H * a.Dv);
  a.layer = layer;
  a.heads = weights.heads;
  parts_.clear();
  int row = 0;
  for (const CachedRows& rows : all) {
    place(rows, row, rope, layer, /*queries=*/true);
    const Sequence& sequence = *rows.sequence;
    a.pool = &sequence.pool();
    a.pages = sequence.pages();
    a.T = rows.begin;
    a.unseen = rows.unseen;
    const int prompt = std::clamp(sequence.prompt_tokens() - a.T, 0, rows.count);
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
    add(AttentionForm::kAbsorbed, rows.count - prompt);
  }
  attend(parts_);
  o_in_.set(o_.data(), C, a.H * a.Dv);
  const PanelProduct out = o_in_.times(weights.o_proj, y, Write::kAdd);
  run_products({&out, 1});
}

void CachedAttention::keep(const AttentionWeights& weights, const Rope<float>& rope, const float* x,
                           std::span<const CachedRows> all, int layer) {
  project(weights, x, count_of(all), /*queries=*/false);
  int row = 0;
  for (const CachedRows& rows : all) {
    place(rows, row, rope, layer, /*queries=*/false);
    row += rows.count;
  }
}

}  // namespace shenhong
