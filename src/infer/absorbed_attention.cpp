#include "infer/absorbed_attention.h"

#include <algorithm>
#include <functional>

#include "core/buffer.h"
#include "core/error.h"
#include "core/parallel.h"
#include "kernels/kernels.h"

namespace shenhong {
namespace {

constexpr int kQueryBlock = 64;  // queries that meet the keys together, as in model/mla
constexpr int kHeadBlock = 4;    // heads that meet the latents together
// Below this many multiply-adds waking another thread costs more than it brings.
constexpr int64_t kWorthSharing = 1 << 18;

// x [M,K], rows ldx apart, times wᵀ into y; `next` is the weight that is read after w.
void times(const WeightPanels& w, const float* x, int64_t ldx, int M, float* y, int64_t ldy,
           const WeightPanels* next = nullptr) {
  PanelProduct p{w.view(),
                 0,
                 w.view().count(),
                 M,
                 x,
                 ldx,
                 {},
                 y,
                 ldy,
                 /*accumulate=*/false,
                 next ? next->view().bytes : nullptr};
  if (takes_int8(p.w.format)) {
    thread_local Buffer<int8_t> q;
    thread_local Buffer<float> scale;
    thread_local Buffer<int32_t> sum;
    const int64_t size = int64_t(M) * w.cols();
    q.resize(size);
    scale.resize(size / kInt8Block);
    sum.resize(size / 16);
    kernels<float>().quantize_rows(x, ldx, M, w.cols(), q.data(), scale.data(), sum.data());
    p.q = {q.data(), scale.data(), sum.data()};
  }
  kernels<float>().panel_product(p);
}

// Calls run(rows, first, count) for the pages of tokens unseen .. T-1: rows [count, Rkv+Dr] are
// those of the count tokens after the first that are seen.
template <class Run>
void each_page(const Attention& a, int T, const Run& run) {
  for (int token = a.unseen; token < T;) {
    const int place = token % kPageTokens, count = std::min(kPageTokens - place, T - token);
    run(a.pool->rows(a.pages[size_t(token / kPageTokens)], a.layer) + place * (a.Rkv + a.Dr),
        token - a.unseen, count);
    token += count;
  }
}

// Heads begin .. end-1 of query c: all of them meet the same latents, so each of the two long
// products is one matrix product per page with the heads as rows.
void absorbed_heads(const Attention& a, int c, int begin, int end) {
  const auto gemm = kernels<float>().gemm;
  const int heads = end - begin, R = a.Rkv + a.Dr, Dqk = a.Dn + a.Dr;
  const int seen = a.T - a.C + c + 1 - a.unseen;
  thread_local Buffer<float> q_absorbed, p, latent;
  q_absorbed.resize(int64_t(heads) * R);
  p.resize(int64_t(heads) * seen);
  latent.resize(int64_t(heads) * a.Rkv);

  for (int h = begin; h < end; ++h) {
    const float* q = a.q + (int64_t(c) * a.H + h) * Dqk;
    float* out = q_absorbed.data() + int64_t(h - begin) * R;
    times(a.heads[size_t(h)].w_uk_t, q, Dqk, 1, out, R,
          h + 1 < end ? &a.heads[size_t(h) + 1].w_uk_t : &a.heads[size_t(begin)].w_uv);
    std::copy_n(q + a.Dn, a.Dr, out + a.Rkv);
  }
  each_page(a, a.unseen + seen, [&](const float* rows, int first, int count) {
    gemm({Layout::kNT, heads, count, R, q_absorbed.data(), R, rows, R, p.data() + first, seen,
          false});
  });
  for (int i = 0; i < heads; ++i)
    kernels<float>().softmax(p.data() + int64_t(i) * seen, a.scale, seen);
  each_page(a, a.unseen + seen, [&](const float* rows, int first, int count) {
    gemm({Layout::kNN, heads, a.Rkv, count, p.data() + first, seen, rows, R, latent.data(), a.Rkv,
          first > 0});
  });
  for (int h = begin; h < end; ++h)
    times(a.heads[size_t(h)].w_uv, latent.data() + int64_t(h - begin) * a.Rkv, a.Rkv, 1,
          a.o + (int64_t(c) * a.H + h) * a.Dv, a.Dv,
          h + 1 < end ? &a.heads[size_t(h) + 1].w_uv : nullptr);
}

void expanded_head(const Attention& a, int h) {
  SH_ASSERT(a.unseen == 0);
  const auto gemm = kernels<float>().gemm;
  const int R = a.Rkv + a.Dr, Dqk = a.Dn + a.Dr, past = a.T - a.C;
  const int64_t q_stride = int64_t(a.H) * Dqk, o_stride = int64_t(a.H) * a.Dv;
  thread_local Buffer<float> k, v, p;
  k.resize(int64_t(a.T) * Dqk);
  v.resize(int64_t(a.T) * a.Dv);
  p.resize(int64_t(kQueryBlock) * a.T);

  each_page(a, a.T, [&](const float* rows, int first, int count) {
    times(a.heads[size_t(h)].w_uk, rows, R, count, k.data() + int64_t(first) * Dqk, Dqk);
    times(a.heads[size_t(h)].w_uv, rows, R, count, v.data() + int64_t(first) * a.Dv, a.Dv);
    for (int t = 0; t < count; ++t)
      std::copy_n(rows + int64_t(t) * R + a.Rkv, a.Dr, k.data() + int64_t(first + t) * Dqk + a.Dn);
  });

  for (int begin = 0; begin < a.C; begin += kQueryBlock) {
    const int rows = std::min(kQueryBlock, a.C - begin), keys = past + begin + rows;
    // A few rows would be rounded otherwise than many.
    const int computed = std::max(rows, kFewRows + 1);
    gemm({Layout::kNT, computed, keys, Dqk, a.q + begin * q_stride + h * Dqk, q_stride, k.data(),
          Dqk, p.data(), keys, false});
    for (int r = 0; r < rows; ++r) {
      float* row = p.data() + int64_t(r) * keys;
      const int seen = past + begin + r + 1;
      kernels<float>().softmax(row, a.scale, seen);
      std::fill(row + seen, row + keys, 0.0f);
    }
    gemm({Layout::kNN, rows, a.Dv, keys, p.data(), keys, v.data(), a.Dv,
          a.o + begin * o_stride + h * a.Dv, o_stride, false});
  }
}

// What one thread does at a time: a head of all queries, or some heads of one query.
int blocks_of(const Attention& a) { return (a.H + kHeadBlock - 1) / kHeadBlock; }

int64_t items_of(const Attention& a) {
  return a.form == AttentionForm::kExpanded ? a.H : int64_t(a.C) * blocks_of(a);
}

int64_t work_of(const Attention& a) {
  const int64_t expansion = int64_t(a.Rkv) * (a.Dn + a.Dv), pairs = int64_t(a.C) * a.T;
  return a.H * (a.form == AttentionForm::kExpanded ? a.T * expansion + pairs * (a.Dn + a.Dr + a.Dv)
                                                   : a.C * expansion + pairs * (2 * a.Rkv + a.Dr));
}

void run_item(const Attention& a, int64_t item) {
  if (a.form == AttentionForm::kExpanded) return expanded_head(a, int(item));
  const int begin = int(item % blocks_of(a)) * kHeadBlock;
  absorbed_heads(a, int(item / blocks_of(a)), begin, std::min(begin + kHeadBlock, a.H));
}

}  // namespace

Attention::Attention(const ModelConfig& config)
    : H(config.num_attention_heads),
      Dn(config.qk_nope_head_dim),
      Dr(config.qk_rope_head_dim),
      Dv(config.v_head_dim),
      Rkv(config.kv_lora_rank),
      scale(float(config.attention_scale())) {}

void attend(std::span<const Attention> all) {
  int64_t work = 0, items = 0;
  for (const Attention& a : all) {
    work += work_of(a);
    items += items_of(a);
  }
  const auto run = [&](int64_t item) {
    size_t i = 0;
    for (; item >= items_of(all[i]); ++i) item -= items_of(all[i]);
    run_item(all[i], item);
  };
  if (work >= kWorthSharing) {
    parallel_for(items, std::ref(run));
  } else {
    for (int64_t item = 0; item < items; ++item) run(item);
  }
}

}  // namespace shenhong
