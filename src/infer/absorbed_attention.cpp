#include "infer/absorbed_attention.h"

#include <algorithm>
#include <array>
#include <functional>

#include "core/buffer.h"
#include "core/error.h"
#include "core/parallel.h"
#include "kernels/kernels.h"

namespace shenhong {
namespace {

constexpr int kQueryBlock = 64;  // queries that meet the keys together, as in model/mla
constexpr int kHeadBlock = 16;   // heads that meet the latents together
// Below this many multiply-adds waking another thread costs more than it brings.
constexpr int64_t kWorthSharing = 1 << 18;
// Up to so many blocks of heads are worked on by all threads together.
constexpr int kFewBlocks = 4;
// What a thread then takes of one at a time: whole pages of tokens, columns of the latents.
constexpr int kChunkTokens = 4 * kPageTokens, kStripeColumns = 128;
constexpr int kExpWork = 16;  // multiply-adds that an exponential costs

// x [M,K], rows ldx apart, times wᵀ into y; `next`, which is most likely read after w, is fetched
// ahead.
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

// Calls run(rows, first, count) for the pages of tokens begin .. end-1: rows are numbers
// [column, column_end) of `count` tokens from `first` on.
template <class Run>
void each_page(const Attention& a, int begin, int end, int column, int column_end, const Run& run) {
  thread_local Buffer<float> scratch;
  for (int token = begin; token < end;) {
    const int place = token % kPageTokens, count = std::min(kPageTokens - place, end - token);
    run(a.pool->read(a.pages[size_t(token / kPageTokens)], a.layer, place, count, column,
                     column_end, scratch),
        token, count);
    token += count;
  }
}

// Heads begin .. end-1 of query c in the absorbed form: all of them meet the same latents, so each
// of the two long products is one matrix product per page with the heads as rows. The work is cut
// into parts that threads may share, whose results do not depend on the cuts.
struct HeadBlock {
  const Attention* a;
  int c, begin, end;
  float *q, *p, *latent;  // [heads, R] [heads, seen] [heads, Rkv]

  int heads() const { return end - begin; }
  int seen() const { return a->T - a->C + c + 1 - a->unseen; }
  int width() const { return a->Rkv + a->Dr; }
  int64_t size() const { return int64_t(heads()) * (width() + seen() + a->Rkv); }
  void use(float* memory) {
    q = memory;
    p = q + int64_t(heads()) * width();
    latent = p + int64_t(heads()) * seen();
  }

  void absorb(int h) const {
    const float* from = a->q + (int64_t(c) * a->H + h) * (a->Dn + a->Dr);
    float* out = q + int64_t(h - begin) * width();
    times(a->heads[size_t(h)].w_uk_t, from, a->Dn + a->Dr, 1, out, width(),
          h + 1 < end ? &a->heads[size_t(h) + 1].w_uk_t : &a->heads[size_t(begin)].w_uv);
    std::copy_n(from + a->Dn, a->Dr, out + a->Rkv);
  }
  // With tokens first .. last-1 of the sequence.
  void score(int first, int last) const {
    each_page(*a, first, last, 0, width(), [&](FloatRows rows, int token, int count) {
      kernels<float>().gemm({Layout::kNT, heads(), count, width(), q, width(), rows.data,
                             rows.stride, p + (token - a->unseen), seen(), false});
    });
  }
  void weigh(int h) const {
    kernels<float>().softmax(p + int64_t(h - begin) * seen(), a->scale, seen());
  }
  // Columns [column, column_end) of the latents, a multiple of 32 the first.
  void mix(int column, int column_end) const {
    each_page(*a, a->unseen, a->unseen + seen(), column, column_end,
              [&](FloatRows rows, int token, int count) {
                kernels<float>().gemm({Layout::kNN, heads(), column_end - column, count,
                                       p + (token - a->unseen), seen(), rows.data, rows.stride,
                                       latent + column, a->Rkv, token > a->unseen});
              });
  }
  void expand(int h) const {
    times(a->heads[size_t(h)].w_uv, latent + int64_t(h - begin) * a->Rkv, a->Rkv, 1,
          a->o + (int64_t(c) * a->H + h) * a->Dv, a->Dv,
          h + 1 < end ? &a->heads[size_t(h) + 1].w_uv : nullptr);
  }
};

void run_alone(HeadBlock block) {
  thread_local Buffer<float> memory;
  memory.resize(block.size());
  block.use(memory.data());
  for (int h = block.begin; h < block.end; ++h) block.absorb(h);
  block.score(block.a->unseen, block.a->unseen + block.seen());
  for (int h = block.begin; h < block.end; ++h) block.weigh(h);
  block.mix(0, block.a->Rkv);
  for (int h = block.begin; h < block.end; ++h) block.expand(h);
}

// parts_of(block) parts of every block, as run(block, part), over all threads if that is worth it.
template <class PartsOf, class Run>
void share_parts(std::span<const HeadBlock> blocks, int64_t work, const PartsOf& parts_of,
                 const Run& run) {
  int64_t parts = 0;
  for (const HeadBlock& block : blocks) parts += parts_of(block);
  const auto run_part = [&](int64_t part) {
    size_t i = 0;
    for (; part >= parts_of(blocks[i]); ++i) part -= parts_of(blocks[i]);
    run(blocks[i], int(part));
  };
  if (work >= kWorthSharing) {
    parallel_for(parts, std::ref(run_part));
  } else {
    for (int64_t part = 0; part < parts; ++part) run_part(part);
  }
}

// Few blocks: all threads work on each.
void run_together(std::span<HeadBlock> blocks) {
  thread_local Buffer<float> memory;
  int64_t size = 0, heads = 0, pairs = 0;
  for (const HeadBlock& block : blocks) {
    size += block.size();
    heads += block.heads();
    pairs += int64_t(block.heads()) * block.seen();
  }
  memory.resize(size);
  float* next = memory.data();
  for (HeadBlock& block : blocks) {
    block.use(next);
    next += block.size();
  }
  const Attention& a = *blocks.front().a;  // sizes are those of all
  const auto heads_of = [](const HeadBlock& block) { return block.heads(); };
  share_parts(blocks, heads * a.Dn * a.Rkv, heads_of,
              [](const HeadBlock& block, int part) { block.absorb(block.begin + part); });
  const auto chunks_of = [](const HeadBlock& block) {
    return (block.a->unseen + block.seen() + kChunkTokens - 1) / kChunkTokens;
  };
  share_parts(blocks, pairs * (a.Rkv + a.Dr), chunks_of, [](const HeadBlock& block, int part) {
    const int end = block.a->unseen + block.seen();
    block.score(std::max(block.a->unseen, part * kChunkTokens),
                std::min(end, (part + 1) * kChunkTokens));
  });
  share_parts(blocks, pairs * kExpWork, heads_of,
              [](const HeadBlock& block, int part) { block.weigh(block.begin + part); });
  const auto stripes_of = [](const HeadBlock& block) {
    return (block.a->Rkv + kStripeColumns - 1) / kStripeColumns;
  };
  share_parts(blocks, pairs * a.Rkv, stripes_of, [](const HeadBlock& block, int part) {
    block.mix(part * kStripeColumns, std::min(block.a->Rkv, (part + 1) * kStripeColumns));
  });
  share_parts(blocks, heads * a.Dv * a.Rkv, heads_of,
              [](const HeadBlock& block, int part) { block.expand(block.begin + part); });
}

void expanded_head(const Attention& a, int h) {
  SH_ASSERT(a.unseen == 0);
  const auto gemm = kernels<float>().gemm;
  const int Dqk = a.Dn + a.Dr, past = a.T - a.C;
  const int64_t q_stride = int64_t(a.H) * Dqk, o_stride = int64_t(a.H) * a.Dv;
  thread_local Buffer<float> k, v, p;
  k.resize(int64_t(a.T) * Dqk);
  v.resize(int64_t(a.T) * a.Dv);
  p.resize(int64_t(kQueryBlock) * a.T);

  each_page(a, 0, a.T, 0, a.Rkv + a.Dr, [&](FloatRows rows, int first, int count) {
    times(a.heads[size_t(h)].w_uk, rows.data, rows.stride, count, k.data() + int64_t(first) * Dqk,
          Dqk);
    times(a.heads[size_t(h)].w_uv, rows.data, rows.stride, count, v.data() + int64_t(first) * a.Dv,
          a.Dv);
    for (int t = 0; t < count; ++t)
      std::copy_n(rows.data + t * rows.stride + a.Rkv, a.Dr,
                  k.data() + int64_t(first + t) * Dqk + a.Dn);
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

int blocks_of(const Attention& a) { return (a.H + kHeadBlock - 1) / kHeadBlock; }

HeadBlock head_block(const Attention& a, int64_t i) {
  const int begin = int(i % blocks_of(a)) * kHeadBlock;
  return {&a, int(i / blocks_of(a)), begin, std::min(begin + kHeadBlock, a.H), {}, {}, {}};
}

// What one thread does at a time: a head of all queries, or some heads of one query.
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
  run_alone(head_block(a, item));
}

// All items of those that are to be run, one after the other or each on some thread.
void run_items(std::span<const Attention> all) {
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

}  // namespace

Attention::Attention(const ModelConfig& config)
    : H(config.num_attention_heads),
      Dn(config.qk_nope_head_dim),
      Dr(config.qk_rope_head_dim),
      Dv(config.v_head_dim),
      Rkv(config.kv_lora_rank),
      scale(float(config.attention_scale())) {}

void attend(std::span<const Attention> all) {
  int64_t items = 0;
  bool absorbed = true;
  for (const Attention& a : all) {
    items += items_of(a);
    absorbed &= a.form == AttentionForm::kAbsorbed;
  }
  if (!absorbed || items == 0 || items > kFewBlocks) return run_items(all);
  std::array<HeadBlock, kFewBlocks> blocks;
  size_t count = 0;
  for (const Attention& a : all)
    for (int64_t i = 0; i < items_of(a); ++i) blocks[count++] = head_block(a, i);
  run_together(std::span(blocks).first(count));
}

}  // namespace shenhong
