#include "model/model_directory.h"

#include "formats/safetensors.h"
#include "model/gguf_config.h"
#include "model/gguf_model.h"
#include "model/weight_files.h"

namespace shenhong {
namespace {

std::vector<int64_t> shape_of(const Parameter<float>& p) {
  return p.is_vector ? std::vector<int64_t>{p.cols} : std::vector<int64_t>{p.rows, p.cols};
}

std::unique_ptr<Model<float>> load_gguf(const fs::path& path) {
  const GgufModel file(path);
  auto model = std::make_unique<Model<float>>(file.config());
  model->for_each_parameter([&](Parameter<float>& p) {
    dequantize(file.read(p.name, p.rows, p.cols).view, p.value.data());
  });
  return model;
}

}  // namespace

ModelConfig read_model_config(const fs::path& model) {
  return is_gguf(model) ? read_gguf_config(Gguf(model)) : read_config(model / "config.json");
}

std::unique_ptr<Model<float>> load_model(const fs::path& path) {
  if (is_gguf(path)) return load_gguf(path);
  SH_CHECK(fs::is_directory(path), kBadInput,
           "{}: no such model directory; want one with config.json and model.safetensors",
           path.string());
  const WeightFiles files(path);
  auto model = std::make_unique<Model<float>>(files.checked_config());
  model->for_each_parameter([&](Parameter<float>& p) {
    dequantize(files.read(p.name, p.rows, p.cols).view, p.value.data());
  });
  files.check_all_read(is_shared_copy);
  return model;
}

StoredBytes stored_bytes(const fs::path& model) {
  const ModelConfig config = read_model_config(model);
  StoredBytes sum;
  const auto add = [&](const std::string& name, size_t bytes) {
    const auto has = [&](const char* part) { return name.find(part) != name.npos; };
    const bool expert = has(".mlp.experts.") || has("_exps."),
               embedding = has("embed_tokens") || has("token_embd");
    sum.all += double(bytes);
    if (is_prediction_module(name, config.num_hidden_layers)) return;
    if (embedding && !config.tie_word_embeddings) return;
    if (name.ends_with("ngram_memory.embed.weight")) return;  // a few rows
    sum.per_token +=
        double(bytes) * (expert ? config.mean_experts() / double(config.n_routed_experts) : 1);
  };
  if (is_gguf(model)) {
    const Gguf file(model);
    for (const auto& [name, tensor] : file.tensors()) add(name, tensor.bytes.size());
  } else {
    const WeightFiles files(model);
    for (const Safetensors& file : files.files())
      for (const auto& [name, tensor] : file.tensors()) add(name, tensor.bytes.size());
  }
  return sum;
}

void save_model(const Model<float>& model, const fs::path& directory, WeightFormat format) {
  std::vector<TensorToWrite> tensors;
  model.for_each_parameter([&](const Parameter<float>& p) {
    const bool keep_f32 = p.name.ends_with("e_score_correction_bias");
    tensors.push_back(float_tensor(p.name, shape_of(p), p.value.span(),
                                   format == WeightFormat::kBF16 && !keep_f32));
  });
  write_file(directory / "config.json", write_config(model.config()));
  write_safetensors(directory / "model.safetensors", tensors, {{"format", "pt"}});
}

}  // namespace shenhong
