// A model's configuration as the metadata of a GGUF: deepseek2, which is written, too, and llama
// and qwen2, whose attention is grouped-query.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "formats/gguf.h"
#include "model/config.h"

namespace shenhong {

using GgufMetadata = std::vector<std::pair<std::string, GgufSetting>>;

// Of llama and its kin, what rotary frequencies are divided by: a tensor [head_dim/2], where any
// is.
constexpr const char* kRopeDivisors = "rope_freqs.weight";

// Error(kBadInput) names the key that is missing or has a value that is not supported. What GGUF
// has no key for keeps its default. Modules whose tensors the file leaves out are not counted.
ModelConfig read_gguf_config(const Gguf& file);

// general.architecture and the keys of the architecture, for the absorbed form of the attention.
// Error(kBadInput) when YaRN's mscale is not mscale_all_dim, which GGUF cannot say.
GgufMetadata gguf_config_metadata(const ModelConfig& config);

}  // namespace shenhong
