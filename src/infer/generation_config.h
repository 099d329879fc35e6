// generation_config.json of a model directory: how its author wants it sampled and where it ends.
#pragma once

#include <vector>

#include "core/file.h"
#include "infer/sampler.h"
#include "model/config.h"

namespace shenhong {

struct GenerationConfig {
  SamplingConfig sampling;      // ours, overridden by what the file says
  std::vector<int> end_tokens;  // the answer ends at any of these
};

// Keys that we do not use are ignored; without the file, our defaults and the config's end token.
GenerationConfig read_generation_config(const fs::path& model_directory, const ModelConfig& model);

}  // namespace shenhong
