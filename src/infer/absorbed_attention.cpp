#include "infer/absorbed_attention.h"

#include <algorithm>
#include <functional>

#include "core/buffer.h"
#include "core/parallel.h"
#include "kernels/kernels.h"

namespace shenhong {
namespace {

constexpr int kQueryBlock = 64;  // queries that meet the keys together, as in model/mla
constexpr int kHeadBlock = 16;   // heads that meet the latents together
// Below this many multiply-adds waking another thread costs more than it brings.
constexpr int64_t kWorthSharing = 1 << 18;

int64_t pair_cost_absorbed(const Attention& a) { return 2 * a.Rkv + a.Dr; }
int64_t pair_cost_expanded(const Attention& a) { return a.Dn + a.Dr + a.Dv; }
int64_t expansion_cost(const Attention& a) { return int64_t(a.Rkv) * (a.Dn + a.Dv); }

// x [M,K], rows ldx apart, times wᵀ into y.
void times(const WeightPanels& w, const float* x, int64_t ldx, int M, float* y, int64_t ldy) {
  PanelProduct p{w.view(), 0, w.view().count(), M, x, ldx, {}, y, ldy, /*accumulate=*/false};
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

// Heads begin .. end-1 of query c: all of them meet the same latents, so each of the two long
// products is one matrix product with the heads as rows.
void absorbed_heads(const Attention& a, int c, int begin, int end) {
  const auto gemm = kernels<float>().gemm;
  const int heads = end - begin, R = a.Rkv + a.Dr, Dqk = a.Dn + a.Dr;
  const int seen = a.T - a.C + c + 1;
  thread_local Buffer<float> q_absorbed, p, latent;
  q_absorbed.resize(int64_t(heads) * R);
  p.resize(int64_t(heads) * seen);
  latent.resize(int64_t(heads) * a.Rkv);

  for (int h = begin; h < end; ++h) {
    const float* q = a.q + (int64_t(c) * a.H + h) * Dqk;
    float* out = q_absorbed.data() + int64_t(h - begin) * R;
    times(a.heads[size_t(h)].w_uk_t, q, Dqk, 1, out, R);
    std::copy_n(q + a.Dn, a.Dr, out + a.Rkv);
  }
  gemm({Layout::kNT, heads, seen, R, q_absorbed.data(), R, a.rows, R, p.data(), seen, false});
  for (int i = 0; i < heads; ++i)
    kernels<float>().softmax(p.data() + int64_t(i) * seen, a.scale, seen);
  gemm({Layout::kNN, heads, a.Rkv, seen, p.data(), seen, a.rows, R, latent.data(), a.Rkv, false});
  for (int h = begin; h < end; ++h)
    times(a.heads[size_t(h)].w_uv, latent.data() + int64_t(h - begin) * a.Rkv, a.Rkv, 1,
          a.o + (int64_t(c) * a.H + h) * a.Dv, a.Dv);
}

void expanded_head(const Attention& a, int h) {
  const auto gemm = kernels<float>().gemm;
  const int R = a.Rkv + a.Dr, Dqk = a.Dn + a.Dr, past = a.T - a.C;
  const int64_t q_stride = int64_t(a.H) * Dqk, o_stride = int64_t(a.H) * a.Dv;
  thread_local Buffer<float> k, v, p;
  k.resize(int64_t(a.T) * Dqk);
  v.resize(int64_t(a.T) * a.Dv);
  p.resize(int64_t(kQueryBlock) * a.T);

  times(a.heads[size_t(h)].w_uk, a.rows, R, a.T, k.data(), Dqk);
  times(a.heads[size_t(h)].w_uv, a.rows, R, a.T, v.data(), a.Dv);
  for (int t = 0; t < a.T; ++t)
    std::copy_n(a.rows + int64_t(t) * R + a.Rkv, a.Dr, k.data() + int64_t(t) * Dqk + a.Dn);

  for (int begin = 0; begin < a.C; begin += kQueryBlock) {
    const int rows = std::min(kQueryBlock, a.C - begin), keys = past + begin + rows;
    gemm({Layout::kNT, rows, keys, Dqk, a.q + begin * q_stride + h * Dqk, q_stride, k.data(), Dqk,
          p.data(), keys, false});
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

}  // namespace

Attention::Attention(const ModelConfig& config)
    : H(config.num_attention_heads),
      Dn(config.qk_nope_head_dim),
      Dr(config.qk_rope_head_dim),
      Dv(config.v_head_dim),
      Rkv(config.kv_lora_rank),
      scale(float(config.attention_scale())) {}

bool absorbing_is_cheaper(const Attention& a) {
  const double pairs = double(a.C) * a.T;
  return pairs * double(pair_cost_absorbed(a)) + double(a.C) * double(expansion_cost(a)) <
         pairs * double(pair_cost_expanded(a)) + double(a.T) * double(expansion_cost(a));
}

void attend_absorbed(const Attention& a) {
  const int blocks = (a.H + kHeadBlock - 1) / kHeadBlock;
  const auto run = [&](int64_t item) {
    const int begin = int(item % blocks) * kHeadBlock;
    absorbed_heads(a, int(item / blocks), begin, std::min(begin + kHeadBlock, a.H));
  };
  const int64_t items = int64_t(a.C) * blocks;
  const int64_t work = int64_t(a.C) * a.H * (a.T * pair_cost_absorbed(a) + expansion_cost(a));
  if (work >= kWorthSharing) {
    parallel_for(items, std::ref(run));
  } else {
    for (int64_t item = 0; item < items; ++item) run(item);
  }
}

void attend_expanded(const Attention& a) {
  const auto run = [&](int64_t h) { expanded_head(a, int(h)); };
  parallel_for(a.H, std::ref(run));
}

}  // namespace shenhong
