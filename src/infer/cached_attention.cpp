#include "infer/cached_attention.h"

#include <algorithm>

#include "core/parallel.h"
#include "infer/norm_rows.h"
#include "kernels/kernels.h"

namespace shenhong {

CachedAttention::CachedAttention(const ModelConfig& config) : config_(config) {}

namespace {

constexpr int kTokensAtOnce = 16;  // per work item

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
  if (Rq == 0 || !queries) return;
  norm_rows(cq_.data(), weights.q_a_layernorm, cq_.data(), C, config_.rms_norm_eps);
  cq_in_.set(cq_.data(), C, Rq);
  const PanelProduct up = cq_in_.times(weights.q_b_proj, q_.data(), Write::kReplace);
  run_products({&up, 1});
}

void CachedAttention::place(const AttentionWeights& weights, const CachedRows& rows, int row,
                            const Rope<float>& rope, int layer, bool queries) {
  const Sequence& sequence = *rows.sequence;
  const int H = config_.num_attention_heads, Dqk = config_.qk_head_dim();
  const int Rkv = config_.kv_lora_rank, R = Rkv + config_.qk_rope_head_dim;
  parallel_ranges(rows.count, kTokensAtOnce, [&](int64_t first, int64_t last) {
    for (int i = int(first); i < int(last); ++i) {
      const int position = rows.begin + i;
      float* kv = rows_.data() + int64_t(row + i) * R;
      float rstd;
      kernels<float>().rmsnorm(kv, weights.kv_a_layernorm.data(), kv, &rstd, 1, Rkv,
                               float(config_.rms_norm_eps));
      rope.rotate(kv + Rkv, 1, R, position);
      const int page = sequence.pages()[size_t(position / kPageTokens)];
      sequence.pool().write(page, layer, position % kPageTokens, kv);
      if (!queries) continue;
      float* q = q_.data() + int64_t(row + i) * H * Dqk;
      rope.rotate(q + config_.qk_nope_head_dim, H, Dqk, position);
    }
  });
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
    place(weights, rows, row, rope, layer, /*queries=*/true);
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
    place(weights, rows, row, rope, layer, /*queries=*/false);
    row += rows.count;
  }
}

}  // namespace shenhong
