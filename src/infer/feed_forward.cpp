#include "infer/feed_forward.h"

#include <algorithm>

#include "core/parallel.h"
#include "kernels/kernels.h"

namespace shenhong {
namespace {

constexpr int64_t kSwigluGrain = 1 << 13;  // elements that repay handing them to a thread

void swiglu(const float* a, const float* b, float* h, int64_t n) {
  if (n <= kSwigluGrain) return kernels<float>().swiglu(a, b, h, n);
  parallel_ranges(n, kSwigluGrain, [&](int64_t begin, int64_t end) {
    kernels<float>().swiglu(a + begin, b + begin, h + begin, end - begin);
  });
}

}  // namespace

void FeedForward::forward(const LayerWeights& layer, const float* x, float* y, int C) {
  const int D = config_.hidden_size, M = config_.max_experts(), E = config_.n_routed_experts;
  const int own = layer.has_mlp ? C : 0;  // rows of the dense layer or the shared experts
  int routed = 0;                         // rows of the routed ones
  group_count_ = 0;
  const auto add_group = [&](const MlpWeights& mlp, int first, int count) {
    if (groups_.size() == group_count_) groups_.emplace_back();
    Group& g = groups_[group_count_++];
    g.mlp = &mlp;
    g.first = first;
    g.count = count;
  };

  if (layer.moe) {
    const MoeWeights& moe = *layer.moe;
    routed_.scores.resize(int64_t(C) * config_.router_experts());
    gathered_.set(x, C, D);
    const PanelProduct scores = gathered_.times(moe.gate, routed_.scores.data(), Write::kReplace);
    run_products({&scores, 1});
    moe.router.route(C, routed_);
    for (int c = 0; c < C; ++c) {
      int& count = routed_.count[c];
      int* chosen = routed_.chosen.data() + c * M;
      choices_.all += std::count_if(chosen, chosen + count, [&](int e) { return e < E; });
      if (moe.skip_below.empty()) continue;
      const int left =
          drop_light_experts(moe.skip_below, E, count, chosen, routed_.weights.data() + c * M);
      choices_.skipped += count - left;
      count = left;
    }

    const auto for_each_choice = [&](auto&& visit) {
      for (int c = 0; c < C; ++c)
        for (int i = c * M; i < c * M + routed_.count[c]; ++i)
          if (const int e = routed_.chosen[i]; e < E) visit(c, i, e);
    };
    first_.assign(size_t(E) + 1, 0);
    for_each_choice([&](int, int, int e) { ++first_[size_t(e) + 1]; });
    for (int e = 0; e < E; ++e) {
      if (first_[size_t(e) + 1] > 0)
        add_group(moe.experts[size_t(e)], first_[size_t(e)], first_[size_t(e) + 1]);
      first_[size_t(e) + 1] += first_[size_t(e)];
    }
    routed = first_.back();
    slot_.resize(size_t(C) * size_t(M));
    rows_.resize(int64_t(routed + own) * D);
    for_each_choice([&](int c, int i, int e) {
      slot_[size_t(i)] = first_[size_t(e)]++;
      std::copy_n(x + int64_t(c) * D, D, rows_.data() + int64_t(slot_[size_t(i)]) * D);
    });
  }
  const int all = routed + own;
  rows_.resize(int64_t(all) * D);
  if (layer.has_mlp) {
    add_group(layer.mlp, routed, C);
    std::copy_n(x, int64_t(C) * D, rows_.data() + int64_t(routed) * D);
  }
  gathered_.set(rows_.data(), all, D);
  run_groups(all);

  const auto add = kernels<float>().axpy;
  for (int c = 0; c < C; ++c) {
    float* to = y + int64_t(c) * D;
    for (int i = c * M; layer.moe && i < c * M + routed_.count[c]; ++i) {
      const bool is_routed = routed_.chosen[i] < E;
      const float* of_expert =
          is_routed ? out_.data() + int64_t(slot_[size_t(i)]) * D : x + int64_t(c) * D;
      add(routed_.weights[i], of_expert, to, D);
    }
    if (layer.has_mlp) add(1, out_.data() + int64_t(routed + c) * D, to, D);
  }
}

void FeedForward::run_groups(int rows) {
  const int D = config_.hidden_size;
  const std::span<Group> groups(groups_.data(), group_count_);
  int64_t size = 0;
  for (Group& g : groups) {
    g.hidden = size;
    size += int64_t(g.count) * g.mlp->gate_proj.rows();
  }
  a_.resize(size);
  b_.resize(size);
  out_.resize(int64_t(rows) * D);

  products_.clear();
  for (Group& g : groups) {
    const int F = g.mlp->gate_proj.rows();
    const auto times = [&](const WeightPanels& w, float* to) {
      products_.push_back(gathered_.times(w, to + g.hidden, F, Write::kReplace, g.first, g.count));
    };
    times(g.mlp->gate_proj, a_.data());
    times(g.mlp->up_proj, b_.data());
  }
  run_products(products_);
  swiglu(a_.data(), b_.data(), a_.data(), size);

  products_.clear();
  for (Group& g : groups) {
    g.h.set(a_.data() + g.hidden, g.count, g.mlp->gate_proj.rows());
    products_.push_back(
        g.h.times(g.mlp->down_proj, out_.data() + int64_t(g.first) * D, Write::kReplace));
  }
  run_products(products_);
}

}  // namespace shenhong
