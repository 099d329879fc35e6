#include "infer/expanded_attention.h"

#include <algorithm>

#include "core/error.h"
#include "core/parallel.h"

namespace shenhong {
namespace {

constexpr int kQueryBlock = 64;  // queries that meet the keys together, as in model/mla

}  // namespace

void ExpandedAttention::prepare(const Attention& a) {
  SH_ASSERT(a.unseen == 0);
  latents_.resize(int64_t(a.T) * a.Rkv);
  k_rope_.resize(int64_t(a.T) * a.Dr);
  parallel_ranges(a.T, kPageTokens, [&](int64_t begin, int64_t end) {
    thread_local Buffer<float> scratch;
    const FloatRows rows = a.pool->read(a.pages[size_t(begin / kPageTokens)], a.layer, 0,
                                        int(end - begin), 0, a.Rkv + a.Dr, scratch);
    for (int64_t t = begin; t < end; ++t) {
      const float* row = rows.data + (t - begin) * rows.stride;
      std::copy_n(row, a.Rkv, latents_.data() + t * a.Rkv);
      std::copy_n(row + a.Rkv, a.Dr, k_rope_.data() + t * a.Dr);
    }
  });
  latents_in_.set(latents_.data(), a.T, a.Rkv);
  latents_in_.prepare(a.heads.front().w_uk.view().format);
  latents_in_.prepare(a.heads.front().w_uv.view().format);
}

void ExpandedAttention::run_head(const Attention& a, int h) {
  const auto gemm = kernels<float>().gemm;
  const int Dqk = a.Dn + a.Dr, past = a.T - a.C;
  const int64_t q_stride = int64_t(a.H) * Dqk, o_stride = int64_t(a.H) * a.Dv;
  thread_local Buffer<float> k, v, p;
  k.resize(int64_t(a.T) * Dqk);
  v.resize(int64_t(a.T) * a.Dv);
  p.resize(int64_t(kQueryBlock) * a.T);

  const HeadWeights& head = a.heads[size_t(h)];
  const auto expand = [&](const WeightPanels& w, float* to, int64_t stride) {
    kernels<float>().panel_product(latents_in_.times(w, to, stride, Write::kReplace, 0, a.T));
  };
  expand(head.w_uk, k.data(), Dqk);
  expand(head.w_uv, v.data(), a.Dv);
  for (int64_t t = 0; t < a.T; ++t)
    std::copy_n(k_rope_.data() + t * a.Dr, a.Dr, k.data() + t * Dqk + a.Dn);

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

}  // namespace shenhong
