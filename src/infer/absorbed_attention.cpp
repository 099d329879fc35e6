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

constexpr int kHeadBlock = 16;  // heads that meet the latents together
// Up to so many blocks of heads are worked on by all threads together.
constexpr int kFewBlocks = 4;
// Chunks of what a query sees: of so many pages at least, and so many of them at most.
constexpr int kLeastChunkPages = 4, kMostChunks = 64;

// x [K] times wᵀ into y; `next`, which is most likely read after w, is fetched ahead.
void times(const WeightPanels& w, const float* x, float* y, const WeightPanels* next = nullptr) {
  const int K = w.cols(), N = w.rows();
  PanelProduct p{w.view(), 0, w.view().count(), 1, x, K, {}, y, N, /*accumulate=*/false};
  if (next) p.next = next->view().bytes;
  if (takes_int8(p.w.format)) {
    thread_local Buffer<int8_t> q;
    thread_local Buffer<float> scale;
    thread_local Buffer<int32_t> sum;
    q.resize(K);
    scale.resize(K / kInt8Block);
    sum.resize(K / 16);
    kernels<float>().quantize_rows(x, K, 1, K, q.data(), scale.data(), sum.data());
    p.q = {q.data(), scale.data(), sum.data()};
  }
  kernels<float>().panel_product(p);
}

// Heads begin .. end-1 of query c: all of them meet the same latents. What the query sees is cut
// into chunks, and what these give is joined in their order (Dao et al., 2023, "Flash-Decoding"),
// so that threads may share one query. The cuts depend on the query's place alone.
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
    times(a->heads[size_t(h)].w_uk_t, from, out,
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
    times(a->heads[size_t(h)].w_uv, mean.data(), a->o + (int64_t(c) * a->H + h) * a->Dv,
          h + 1 < end ? &a->heads[size_t(h) + 1].w_uv : nullptr);
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

int blocks_of(const Attention& a) { return (a.H + kHeadBlock - 1) / kHeadBlock; }

HeadBlock head_block(const Attention& a, int64_t i) {
  const int begin = int(i % blocks_of(a)) * kHeadBlock;
  return {&a, int(i / blocks_of(a)), begin, std::min(begin + kHeadBlock, a.H), {}};
}

}  // namespace

int64_t absorbed_items(const Attention& a) { return int64_t(a.C) * blocks_of(a); }

void run_absorbed_item(const Attention& a, int64_t item) { run_alone(head_block(a, item)); }

bool few_items(int64_t items) { return items <= kFewBlocks; }

void run_few_items(std::span<const Attention> all) {
  std::array<HeadBlock, kFewBlocks> blocks;
  size_t count = 0;
  for (const Attention& a : all)
    for (int64_t i = 0; i < absorbed_items(a); ++i) blocks[count++] = head_block(a, i);
  run_together(std::span(blocks).first(count));
}

}  // namespace shenhong
