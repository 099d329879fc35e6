#include "infer/absorbed_attention.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>

#include "core/buffer.h"
#include "core/error.h"
#include "core/parallel.h"
#include "kernels/kernels.h"

namespace shenhong {
namespace {

static_assert(kPageTokens <= kMostRows);

constexpr int kQueryBlock = 64;  // queries that meet the keys together, as in model/mla
constexpr int kHeadBlock = 16;   // heads that meet the latents together
// Below this many multiply-adds waking another thread costs more than it brings.
constexpr int64_t kWorthSharing = 1 << 18;
// Up to so many blocks of heads are worked on by all threads together.
constexpr int kFewBlocks = 4;
// Chunks of what a query sees: of so many pages at least, and so many of them at most.
constexpr int kLeastChunkPages = 4, kMostChunks = 64;

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

// Heads begin .. end-1 of query c in the absorbed form: all of them meet the same latents. What the
// query sees is cut into chunks, and what these give is joined in their order (Dao et al., 2023,
// "Flash-Decoding"), so that threads may share one query. The cuts depend on the query's place
// alone.
struct HeadBlock {
  const Attention* a;
  int c, begin, end;
  float* memory;  // [size()]

  int heads() const { return end - begin; }
  int seen_to() const { return a->T - a->C + c + 1; }
  int width() const { return a->Rkv + a->Dr; }
  int chunk_tokens() const {
    const int pages = (seen_to() + kPageTokens - 1) / kPageTokens;
    return kPageTokens * std::max(kLeastChunkPages, (pages + kMostChunks - 1) / kMostChunks);
  }
  int chunks() const { return (seen_to() + chunk_tokens() - 1) / chunk_tokens(); }
  int64_t size() const { return int64_t(heads()) * (width() + chunks() * (2 + a->Rkv)); }

  float* q() const { return memory; }  // [heads, width]
  // Of a chunk: [heads] [heads] [heads, Rkv]
  float* top(int chunk) const {
    return q() + int64_t(heads()) * (width() + int64_t(chunk) * (2 + a->Rkv));
  }
  float* sum(int chunk) const { return top(chunk) + heads(); }
  float* latent(int chunk) const { return sum(chunk) + heads(); }

  void absorb(int h) const {
    const float* from = a->q + (int64_t(c) * a->H + h) * (a->Dn + a->Dr);
    float* out = q() + int64_t(h - begin) * width();
    times(a->heads[size_t(h)].w_uk_t, from, a->Dn + a->Dr, 1, out, width(),
          h + 1 < end ? &a->heads[size_t(h) + 1].w_uk_t : &a->heads[size_t(begin)].w_uv);
    std::copy_n(from + a->Dn, a->Dr, out + a->Rkv);
  }
  void meet(int chunk) const {
    std::fill_n(top(chunk), heads(), -std::numeric_limits<float>::infinity());
    std::fill_n(sum(chunk), heads(), 0.0f);
    std::fill_n(latent(chunk), int64_t(heads()) * a->Rkv, 0.0f);
    const int first = std::max(a->unseen, chunk * chunk_tokens()),
              last = std::min(seen_to(), (chunk + 1) * chunk_tokens());
    const auto rows_of = [&](int token) {
      return a->pool->rows(a->pages[size_t(token / kPageTokens)], a->layer, token % kPageTokens);
    };
    for (int token = first; token < last;) {
      const int stop = std::min(last, (token / kPageTokens + 1) * kPageTokens);
      kernels<float>().attend_rows({a->pool->row(), rows_of(token),
                                    rows_of(stop < seen_to() ? stop : token), stop - token, heads(),
                                    q(), a->scale, top(chunk), sum(chunk), latent(chunk)});
      token = stop;
    }
  }
  void expand(int h) const {
    thread_local Buffer<float> weights, mean;
    const int chunks = this->chunks(), i = h - begin;
    weights.resize(chunks);
    mean.resize_zero(a->Rkv);
    for (int chunk = 0; chunk < chunks; ++chunk) weights[chunk] = top(chunk)[i];
    kernels<float>().softmax(weights.data(), 1, chunks);
    float sum_of_all = 0;
    for (int chunk = 0; chunk < chunks; ++chunk) sum_of_all += weights[chunk] * sum(chunk)[i];
    for (int chunk = 0; chunk < chunks; ++chunk)
      kernels<float>().axpy(weights[chunk] / sum_of_all, latent(chunk) + int64_t(i) * a->Rkv,
                            mean.data(), a->Rkv);
    times(a->heads[size_t(h)].w_uv, mean.data(), a->Rkv, 1, a->o + (int64_t(c) * a->H + h) * a->Dv,
          a->Dv, h + 1 < end ? &a->heads[size_t(h) + 1].w_uv : nullptr);
  }
};

void run_alone(HeadBlock block) {
  thread_local Buffer<float> memory;
  memory.resize(block.size());
  block.memory = memory.data();
  for (int h = block.begin; h < block.end; ++h) block.absorb(h);
  for (int chunk = 0; chunk < block.chunks(); ++chunk) block.meet(chunk);
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
    pairs += int64_t(block.heads()) * (block.seen_to() - block.a->unseen);
  }
  memory.resize(size);
  float* next = memory.data();
  for (HeadBlock& block : blocks) {
    block.memory = next;
    next += block.size();
  }
  const Attention& a = *blocks.front().a;  // sizes are those of all
  const auto heads_of = [](const HeadBlock& block) { return block.heads(); };
  share_parts(blocks, heads * a.Dn * a.Rkv, heads_of,
              [](const HeadBlock& block, int part) { block.absorb(block.begin + part); });
  share_parts(
      blocks, pairs * (2 * a.Rkv + a.Dr), [](const HeadBlock& block) { return block.chunks(); },
      [](const HeadBlock& block, int chunk) { block.meet(chunk); });
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

  thread_local Buffer<float> scratch;
  for (int first = 0; first < a.T; first += kPageTokens) {
    const int count = std::min(kPageTokens, a.T - first);
    const FloatRows rows = a.pool->read(a.pages[size_t(first / kPageTokens)], a.layer, 0, count, 0,
                                        a.Rkv + a.Dr, scratch);
    times(a.heads[size_t(h)].w_uk, rows.data, rows.stride, count, k.data() + int64_t(first) * Dqk,
          Dqk);
    times(a.heads[size_t(h)].w_uv, rows.data, rows.stride, count, v.data() + int64_t(first) * a.Dv,
          a.Dv);
    for (int t = 0; t < count; ++t)
      std::copy_n(rows.data + t * rows.stride + a.Rkv, a.Dr,
                  k.data() + int64_t(first + t) * Dqk + a.Dn);
  }

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
  return {&a, int(i / blocks_of(a)), begin, std::min(begin + kHeadBlock, a.H), {}};
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
