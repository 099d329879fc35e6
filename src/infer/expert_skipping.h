// Experts that a token can do without (techniques 1.3, after NAEE): of a token's choices in a layer
// the r-th heaviest is dropped where it weighs less than β_r of the heaviest, and what is left
// weighs together what all did. It depends on the token's own weights and on numbers of the table
// alone, so who shares a step changes nothing. Without a table every choice is read. Identity
// experts, which there is nothing to read of, have no rank and stay as they are.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "model/config.h"

namespace shenhong {

struct ExpertSkipping {
  // By layer, β of the ranks from the second heaviest on; a dense layer's list is empty.
  std::vector<std::vector<float>> below;
  // Of the calibration text's choices, the share that was dropped.
  double skipped = 0;

  // One that drops nothing.
  static ExpertSkipping none(const ModelConfig& config);
};

// The file of a table in a model directory.
inline constexpr std::string_view kExpertSkippingFile = "expert_skipping.json";

Json to_json(const ExpertSkipping& table);
// Error(kBadInput) names what does not fit the model: the layers, the ranks, a β that is negative.
ExpertSkipping expert_skipping_from_json(const Json& json, const ModelConfig& config,
                                         std::string_view where);

// One token's choices: chosen and weights [count] keep their order, the dropped ones leave. `below`
// is a layer's list; experts from `routed` on are identity ones. Returns how many are left, the
// heaviest routed one at least.
int drop_light_experts(std::span<const float> below, int routed, int count, int* chosen,
                       float* weights);

}  // namespace shenhong
