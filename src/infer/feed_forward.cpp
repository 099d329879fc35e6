#include "infer/feed_forward.h"

#include <algorithm>

#include "core/parallel.h"
#include "kernels/kernels.h"

namespace shenhong {
namespace {

constexpr int64_t kSwigluGrain = 1 << 13;  // elements that repay handing them to a thread
constexpr int kTokensAtOnce = 16;

void swiglu(const float* a, const float* b, float* h, int64_t n) {
  parallel_ranges(n, kSwigluGrain, [&](int64_t begin, int64_t end) {
    kernels<float>().swiglu(a + begin, b + begin, h + begin, end - begin);
  });
}

}  // namespace

void FeedForward::forward(const LayerWeights& layer, const float* x, float* y, int C) {
  own_.x.set(x, C, config_.hidden_size);
  own_.count = layer.has_mlp ? C : 0;
  routed_.count = 0;
  groups_.clear();
  if (layer.moe) {
    choose(*layer.moe, C);
    gather(*layer.moe, C);
  }
  if (layer.has_mlp) groups_.push_back({&own_, &layer.mlp, 0, C});
  run_groups();
  parallel_ranges(C, kTokensAtOnce, [&](int64_t first, int64_t last) {
    combine(layer, x, y, int(first), int(last));
  });
}

void FeedForward::choose(const MoeWeights& moe, int C) {
  const int M = config_.max_experts(), E = config_.n_routed_experts;
  choice_.scores.resize(int64_t(C) * config_.router_experts());
  const PanelProduct scores = own_.x.times(moe.gate, choice_.scores.data(), Write::kReplace);
  run_products({&scores, 1});
  moe.router.route(C, choice_);
  for (int c = 0; c < C; ++c) {
    int& count = choice_.count[c];
    int* chosen = choice_.chosen.data() + c * M;
    choices_.all += std::count_if(chosen, chosen + count, [&](int e) { return e < E; });
    if (moe.skip_below.empty()) continue;
    const int left =
        drop_light_experts(moe.skip_below, E, count, chosen, choice_.weights.data() + c * M);
    choices_.skipped += count - left;
    count = left;
  }
}

void FeedForward::gather(const MoeWeights& moe, int C) {
  const int M = config_.max_experts(), E = config_.n_routed_experts;
  const auto for_each_choice = [&](auto&& visit) {
    for (int c = 0; c < C; ++c)
      for (int i = c * M; i < c * M + choice_.count[c]; ++i)
        if (const int e = choice_.chosen[i]; e < E) visit(c, i, e);
  };
  first_.assign(size_t(E) + 1, 0);
  for_each_choice([&](int, int, int e) { ++first_[size_t(e) + 1]; });
  for (int e = 0; e < E; ++e) {
    int& end = first_[size_t(e) + 1];
    if (end > 0) groups_.push_back({&routed_, &moe.experts[size_t(e)], first_[size_t(e)], end});
    end += first_[size_t(e)];
  }
  routed_.count = first_.back();
  token_.resize(size_t(routed_.count));
  slot_.resize(size_t(C) * size_t(M));
  for_each_choice([&](int c, int i, int e) {
    const int row = first_[size_t(e)]++;
    slot_[size_t(i)] = row;
    token_[size_t(row)] = c;
  });
  routed_.x.gather(own_.x, token_);
}

void FeedForward::run_groups() {
  const auto add_product = [&](const Group& g, Activations& x, const WeightPanels& w,
                               Buffer<float>& y) {
    const int64_t N = w.rows();
    y.resize(g.rows->count * N);
    products_.push_back(x.times(w, y.data() + g.first * N, N, Write::kReplace, g.first, g.count));
  };
  products_.clear();
  for (const Group& g : groups_) {
    add_product(g, g.rows->x, g.mlp->gate_proj, g.rows->gate);
    add_product(g, g.rows->x, g.mlp->up_proj, g.rows->up);
  }
  run_products(products_);

  for (Rows* rows : {&routed_, &own_}) {
    if (rows->count == 0) continue;
    float* gate = rows->gate.data();
    swiglu(gate, rows->up.data(), gate, rows->gate.size());
    rows->hidden.set(gate, rows->count, int(rows->gate.size() / rows->count));
  }

  products_.clear();
  for (const Group& g : groups_) add_product(g, g.rows->hidden, g.mlp->down_proj, g.rows->out);
  run_products(products_);
}

void FeedForward::combine(const LayerWeights& layer, const float* x, float* y, int first,
                          int last) const {
  const int D = config_.hidden_size, M = config_.max_experts(), E = config_.n_routed_experts;
  const auto row_of = [&](const float* rows, int row) { return rows + int64_t(row) * D; };
  const auto add = kernels<float>().axpy;
  for (int c = first; c < last; ++c) {
    float* to = y + int64_t(c) * D;
    for (int i = c * M; layer.moe && i < c * M + choice_.count[c]; ++i) {
      const bool is_identity = choice_.chosen[i] >= E;
      add(choice_.weights[i],
          is_identity ? row_of(x, c) : row_of(routed_.out.data(), slot_[size_t(i)]), to, D);
    }
    if (layer.has_mlp) add(1, row_of(own_.out.data(), c), to, D);
  }
}

}  // namespace shenhong
