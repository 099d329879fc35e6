// How a model's author wants it sampled and where its answers end: generation_config.json of a
// model directory, or metadata of a GGUF file.
#pragma once

#include <string>
#include <vector>

#include "core/file.h"
#include "infer/sampler.h"
#include "model/config.h"
#include "model/gguf_config.h"

namespace shenhong {

struct GenerationConfig {
  SamplingConfig sampling;      // ours, overridden by what the file says
  std::vector<int> end_tokens;  // the answer ends at any of these
};

// Keys that we do not use are ignored; without the file or the keys, our defaults and the config's
// end token. Error(kBadInput) names a value of another type or an id outside the vocabulary,
// Error(kUsage) a sampling value out of range.
GenerationConfig read_generation_config(const fs::path& model, const ModelConfig& config);

// The text of generation_config.json: the settings that are in use, whether the defaults or not,
// but those that switch something off are left out.
std::string write_generation_config(const GenerationConfig& generation, const ModelConfig& config);

// The same as general.sampling.* and tokenizer.ggml.eot_token_id, and under shenhong.* what GGUF
// has no name for.
GgufMetadata gguf_generation_metadata(const GenerationConfig& generation,
                                      const ModelConfig& config);

}  // namespace shenhong
