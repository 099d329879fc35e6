// README.md of a model directory: what the model is, can and cannot do, with its numbers.
#pragma once

#include <string>

#include "cli/recipe.h"

namespace shenhong {

// `report` as run_export_stage composes it.
std::string model_card(const Recipe& recipe, const ModelConfig& config, const Json& report);

}  // namespace shenhong
