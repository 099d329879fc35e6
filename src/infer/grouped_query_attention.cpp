#include "infer/grouped_query_attention.h"

#include <algorithm>
#include <functional>

#include "core/parallel.h"
#include "kernels/kernels.h"

namespace shenhong {
namespace {

constexpr int kQueryBlock = 64;  // of a prompt's queries that meet the keys together

// rows [C,N] += bias [N], if there is one.
void add_bias(const Buffer<float>& bias, float* rows, int64_t stride, int C) {
  if (bias.size() == 0) return;
  for (int c = 0; c < C; ++c) kernels<float>().axpy(1, bias.data(), rows + c * stride, bias.size());
}

}  // namespace

GroupedQueryAttention::GroupedQueryAttention(const ModelConfig& config)
    : D_(config.hidden_size),
      H_(config.num_attention_heads),
      G_(config.grouped_query.num_key_value_heads),
      Dh_(config.v_head_dim),
      scale_(float(config.attention_scale())) {}

void GroupedQueryAttention::project(const GroupedQueryWeights& weights, const float* x, int C) {
  const int Dq = H_ * Dh_, Dkv = G_ * Dh_;
  // The products of a prompt's last tile read past its rows; what is there does not matter.
  q_.resize(int64_t(C + kFewRows) * Dq);
  kv_.resize(int64_t(C) * 2 * Dkv);
  x_.set(x, C, D_);
  const PanelProduct products[] = {
      x_.times(weights.q_proj, q_.data(), Write::kReplace),
      x_.times(weights.k_proj, kv_.data(), 2 * Dkv, Write::kReplace, 0, C),
      x_.times(weights.v_proj, kv_.data() + Dkv, 2 * Dkv, Write::kReplace, 0, C)};
  run_products(products);
  add_bias(weights.q_bias, q_.data(), Dq, C);
  add_bias(weights.k_bias, kv_.data(), 2 * Dkv, C);
  add_bias(weights.v_bias, kv_.data() + Dkv, 2 * Dkv, C);
}

void GroupedQueryAttention::place(const Segment& segment, int row, const Rope<float>& rope,
                                  int layer) {
  const Sequence& sequence = *segment.sequence;
  const int R = 2 * G_ * Dh_;
  for (int i = 0; i < segment.count; ++i) {
    const int position = sequence.read() + i;
    float* kv = kv_.data() + int64_t(row + i) * R;
    rope.rotate(q_.data() + int64_t(row + i) * H_ * Dh_, H_, Dh_, position);
    rope.rotate(kv, G_, Dh_, position);
    const int page = sequence.pages()[size_t(position / kPageTokens)];
    sequence.pool().write(page, layer, position % kPageTokens, kv);
  }
}

void GroupedQueryAttention::add_tiles(const Segment& segment, int row, int layer) {
  const Sequence& sequence = *segment.sequence;
  const int group = H_ / G_, Dq = H_ * Dh_, past = sequence.read();
  const int prompt = std::clamp(sequence.prompt_tokens() - past, 0, segment.count);
  const auto add = [&](int token, int head, int64_t stride, int rows, int step) {
    const int64_t at = int64_t(row + token) * Dq + int64_t(head) * Dh_;
    tiles_.push_back({&sequence, layer, head / group, q_.data() + at, o_.data() + at, stride,
                      stride, rows, past + token + 1, step});
  };
  for (int begin = 0; begin < prompt; begin += kQueryBlock)
    for (int h = 0; h < H_; ++h) add(begin, h, Dq, std::min(kQueryBlock, prompt - begin), 1);
  for (int token = prompt; token < segment.count; ++token)
    for (int g = 0; g < G_; ++g) add(token, g * group, Dh_, group, 0);
}

void GroupedQueryAttention::attend(const Tile& tile) const {
  const auto gemm = kernels<float>().gemm;
  const int keys = tile.keys();
  // Of a prompt a few rows would be rounded otherwise than many.
  const int computed = tile.step > 0 ? std::max(tile.rows, kFewRows + 1) : tile.rows;
  thread_local Buffer<float> p, scratch;
  p.resize(int64_t(computed) * keys);
  const auto each_page = [&](int head, const auto& run) {
    for (int first = 0; first < keys; first += kPageTokens) {
      const int page = tile.sequence->pages()[size_t(first / kPageTokens)];
      const int count = std::min(kPageTokens, keys - first);
      run(tile.sequence->pool().read(page, tile.layer, 0, count, head * Dh_, (head + 1) * Dh_,
                                     scratch),
          first, count);
    }
  };
  each_page(tile.kv_head, [&](FloatRows k, int first, int count) {
    gemm({Layout::kNT, computed, count, Dh_, tile.q, tile.ldq, k.data, k.stride, p.data() + first,
          keys, false});
  });
  for (int r = 0; r < tile.rows; ++r) {
    float* row = p.data() + int64_t(r) * keys;
    const int seen = tile.seen + r * tile.step;
    kernels<float>().softmax(row, scale_, seen);
    std::fill(row + seen, row + keys, 0.0f);
  }
  each_page(G_ + tile.kv_head, [&](FloatRows v, int first, int count) {
    gemm({Layout::kNN, tile.rows, Dh_, count, p.data() + first, keys, v.data, v.stride, tile.o,
          tile.ldo, first > 0});
  });
}

void GroupedQueryAttention::run_tiles() {
  int64_t work = 0;
  for (const Tile& tile : tiles_) work += int64_t(tile.rows) * tile.keys() * 2 * Dh_;
  const auto run = [&](int64_t i) { attend(tiles_[size_t(i)]); };
  if (work >= kWorthSharing) {
    parallel_for(int64_t(tiles_.size()), std::ref(run));
  } else {
    for (size_t i = 0; i < tiles_.size(); ++i) run(int64_t(i));
  }
}

void GroupedQueryAttention::forward(const GroupedQueryWeights& weights, const Rope<float>& rope,
                                    const float* x, float* y, std::span<const Segment> segments,
                                    int layer) {
  int C = 0;
  for (const Segment& segment : segments) C += segment.count;
  project(weights, x, C);
  o_.resize(int64_t(C) * H_ * Dh_);
  tiles_.clear();
  int row = 0;
  for (const Segment& segment : segments) {
    place(segment, row, rope, layer);
    add_tiles(segment, row, layer);
    row += segment.count;
  }
  run_tiles();
  o_in_.set(o_.data(), C, H_ * Dh_);
  const PanelProduct out = o_in_.times(weights.o_proj, y, Write::kAdd);
  run_products({&out, 1});
  add_bias(weights.o_bias, y, D_, C);
}

}  // namespace shenhong
