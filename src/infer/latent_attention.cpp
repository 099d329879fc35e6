#include "infer/latent_attention.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "core/parallel.h"
#include "infer/absorbed_attention.h"
#include "infer/expanded_attention.h"

namespace shenhong {
namespace {

bool is_expanded(const Attention& a) { return a.form == AttentionForm::kExpanded; }

// A head of all queries, or some heads of one query.
int64_t items_of(const Attention& a) { return is_expanded(a) ? a.H : absorbed_items(a); }

int64_t work_of(const Attention& a) {
  const int64_t expansion = int64_t(a.Rkv) * (a.Dn + a.Dv), pairs = int64_t(a.C) * a.T;
  return a.H * (is_expanded(a) ? a.T * expansion + pairs * (a.Dn + a.Dr + a.Dv)
                               : a.C * expansion + pairs * (2 * a.Rkv + a.Dr));
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
  int64_t items = 0, work = 0;
  for (const Attention& a : all) {
    items += items_of(a);
    work += work_of(a);
  }
  if (std::ranges::none_of(all, is_expanded) && few_items(items)) return run_few_items(all);

  thread_local std::vector<ExpandedAttention> of_this_thread;
  auto& expanded = of_this_thread;
  if (expanded.size() < all.size()) expanded.resize(all.size());
  for (size_t i = 0; i < all.size(); ++i)
    if (is_expanded(all[i])) expanded[i].prepare(all[i]);

  const auto run = [&](int64_t item) {
    size_t i = 0;
    for (; item >= items_of(all[i]); ++i) item -= items_of(all[i]);
    if (is_expanded(all[i])) {
      expanded[i].run_head(all[i], int(item));
    } else {
      run_absorbed_item(all[i], item);
    }
  };
  if (work >= kWorthSharing) {
    parallel_for(items, std::ref(run));
  } else {
    for (int64_t item = 0; item < items; ++item) run(item);
  }
}

}  // namespace shenhong
