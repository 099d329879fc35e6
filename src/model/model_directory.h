// A model directory in Hugging Face layout: config.json and model.safetensors (or the shards that
// model.safetensors.index.json lists), with DeepSeek-V3's tensor names (techniques 7). A GGUF file
// (gguf_model.h) is read in its place.
#pragma once

#include <memory>

#include "core/file.h"
#include "model/model.h"

namespace shenhong {

// Weights may be in any format of weight_files.h or gguf_model.h and become float. Error(kBadInput)
// names the tensor, its shape and the config keys that ask for another one; missing and unknown
// tensors too. Prediction modules that the files leave out are not counted.
std::unique_ptr<Model<float>> load_model(const fs::path& path);

// Of a model directory or of a GGUF file. Error(kBadInput) names the file.
ModelConfig read_model_config(const fs::path& model);

// Bytes of the tensors, and of those that one decoded token reads, as they are stored. Nothing but
// the files' headers is read.
struct StoredBytes {
  double all = 0, per_token = 0;
};
StoredBytes stored_bytes(const fs::path& model);

enum class WeightFormat { kF32, kBF16 };

// Writes config.json and model.safetensors; creates `directory`. Router biases stay F32.
void save_model(const Model<float>& model, const fs::path& directory, WeightFormat format);

}  // namespace shenhong
