#include "infer/expert_skipping.h"

#include <algorithm>
#include <functional>

#include "core/error.h"

namespace shenhong {

ExpertSkipping ExpertSkipping::none(const ModelConfig& config) {
  ExpertSkipping table;
  for (int l = 0; l < config.num_hidden_layers; ++l)
    table.below.emplace_back(config.is_moe(l) ? config.max_experts() - 1 : 0, 0.0f);
  return table;
}

Json to_json(const ExpertSkipping& table) {
  return {{"skipped", table.skipped}, {"below", table.below}};
}

ExpertSkipping expert_skipping_from_json(const Json& json, const ModelConfig& config,
                                         std::string_view where) {
  SH_CHECK(json.is_object() && json.contains("below") && json["below"].is_array() &&
               json.contains("skipped") && json["skipped"].is_number(),
           kBadInput, "{}: want an object with `skipped` and the list `below`", where);
  ExpertSkipping table = ExpertSkipping::none(config);
  table.skipped = json["skipped"];
  SH_CHECK(table.skipped >= 0 && table.skipped < 1, kBadInput,
           "{}: skipped = {}: want a share from 0 to below 1", where, table.skipped);
  const Json& below = json["below"];
  SH_CHECK(below.size() == table.below.size(), kBadInput,
           "{}: thresholds of {} layers; the model has {}", where, below.size(),
           table.below.size());
  for (size_t l = 0; l < below.size(); ++l) {
    SH_CHECK(below[l].is_array() && below[l].size() == table.below[l].size(), kBadInput,
             "{}: layer {}: want a list of {} thresholds, one per rank from the second on", where,
             l, table.below[l].size());
    for (size_t r = 0; r < below[l].size(); ++r) {
      SH_CHECK(below[l][r].is_number() && below[l][r].get<double>() >= 0, kBadInput,
               "{}: layer {}: threshold {} is {}; want a number from 0 on", where, l, r + 2,
               below[l][r].dump());
      table.below[l][r] = below[l][r];
    }
  }
  return table;
}

int drop_light_experts(std::span<const float> below, int routed, int count, int* chosen,
                       float* weights) {
  thread_local std::vector<int> order;  // heaviest first
  order.clear();
  for (int i = 0; i < count; ++i)
    if (chosen[i] < routed) order.push_back(i);
  if (order.size() < 2) return count;
  std::ranges::stable_sort(order, std::greater(), [&](int i) { return weights[i]; });
  const float heaviest = weights[order[0]];
  float all = 0, left = 0;
  bool dropped = false;
  for (size_t r = 0; r < order.size(); ++r) {
    const int i = order[r];
    all += weights[i];
    if (r == 0 || weights[i] >= below[r - 1] * heaviest)
      left += weights[i];
    else
      chosen[i] = -1, dropped = true;
  }
  if (!dropped) return count;
  int kept = 0;
  for (int i = 0; i < count; ++i) {
    if (chosen[i] < 0) continue;
    const float share = chosen[i] < routed ? all / left : 1;
    chosen[kept] = chosen[i];
    weights[kept++] = weights[i] * share;
  }
  return kept;
}

}  // namespace shenhong
