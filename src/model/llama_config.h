// config.json of dense models with grouped-query attention as Hugging Face writes it
// (LlamaForCausalLM, Qwen2ForCausalLM), told in the keys of ModelConfig.
#pragma once

#include <string>

#include "core/json.h"

namespace shenhong {

// By its model_type: "llama" or "qwen2".
bool is_llama_form(const Json& config);

// `config` has no nulls, and rope_parameters are taken apart into rope_theta and rope_scaling.
// Error(kBadInput) names `where` and the key: a size that is none, a switch that has one position
// here, a scaling of the rotary frequencies that is neither none nor Llama 3's.
Json from_llama_form(const Json& config, const std::string& where);

}  // namespace shenhong
