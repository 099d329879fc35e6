#include "model/model_directory.h"

#include <set>

#include "formats/safetensors.h"

namespace shenhong {
namespace {

std::vector<int64_t> shape_of(const Parameter<float>& p) {
  return p.is_vector ? std::vector<int64_t>{p.cols} : std::vector<int64_t>{p.rows, p.cols};
}

std::string text_of(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t n : shape) text += (text.empty() ? "" : ",") + std::to_string(n);
  return text;
}

std::vector<Safetensors> open_weights(const fs::path& directory) {
  std::vector<Safetensors> files;
  const fs::path index = directory / "model.safetensors.index.json";
  if (!fs::exists(index)) {
    files.emplace_back(directory / "model.safetensors");
    return files;
  }
  const Json json = parse_json(read_file(index), index.string());
  const auto map = json.find("weight_map");
  SH_CHECK(json.is_object() && map != json.end() && map->is_object(), kBadInput,
           "{}: has no \"weight_map\" object", index.string());
  std::set<std::string> names;
  for (const auto& [tensor, file] : map->items()) {
    SH_CHECK(file.is_string(), kBadInput, "{}: weight_map['{}'] is not a file name", index.string(),
             tensor);
    names.insert(file.get<std::string>());
  }
  for (const std::string& name : names) {
    SH_CHECK(fs::path(name).filename() == name, kBadInput, "{}: '{}' is not a plain file name",
             index.string(), name);
    files.emplace_back(directory / name);
  }
  return files;
}

// The config keys that decide a tensor's shape, for the error that reports a contradiction.
std::string shape_keys(const std::string& name) {
  const auto has = [&](const char* part) { return name.find(part) != name.npos; };
  if (has("embed_tokens") || has("lm_head")) return "vocab_size, hidden_size";
  if (has("kv_a_")) return "kv_lora_rank, qk_rope_head_dim, hidden_size";
  if (has("kv_b_")) return "num_attention_heads, qk_nope_head_dim, v_head_dim, kv_lora_rank";
  if (has("q_a_") || has("q_b_") || has("q_proj"))
    return "num_attention_heads, qk_nope_head_dim, qk_rope_head_dim, q_lora_rank, hidden_size";
  if (has("o_proj")) return "hidden_size, num_attention_heads, v_head_dim";
  if (has("mlp.gate.")) return "n_routed_experts, hidden_size";
  if (has("experts")) return "moe_intermediate_size, n_shared_experts, hidden_size";
  if (has("mlp.")) return "intermediate_size, hidden_size";
  return "hidden_size";
}

bool is_shared_copy(const std::string& name) {
  return name.ends_with("shared_head.head.weight") ||
         (name.starts_with("model.layers.") && name.ends_with("embed_tokens.weight"));
}

}  // namespace

std::unique_ptr<Model<float>> load_model(const fs::path& directory) {
  SH_CHECK(fs::is_directory(directory), kBadInput,
           "{}: no such model directory; want one with config.json and model.safetensors",
           directory.string());
  const fs::path config_path = directory / "config.json";
  auto model = std::make_unique<Model<float>>(read_config(config_path));
  const std::vector<Safetensors> files = open_weights(directory);

  std::set<std::string> wanted;
  model->for_each_parameter([&](Parameter<float>& p) {
    wanted.insert(p.name);
    const TensorView* tensor = nullptr;
    for (const Safetensors& file : files)
      if ((tensor = file.find(p.name))) break;
    SH_CHECK(tensor, kBadInput, "{}: tensor '{}' is missing, which {} asks for", directory.string(),
             p.name, config_path.string());
    SH_CHECK(tensor->shape == shape_of(p), kBadInput, "{}: '{}' is [{}]; {} ({}) asks for [{}]",
             directory.string(), p.name, text_of(tensor->shape), config_path.string(),
             shape_keys(p.name), text_of(shape_of(p)));
    read_floats(*tensor, p.name, p.value.span());
  });
  for (const Safetensors& file : files)
    for (const auto& [name, ignored] : file.tensors())
      SH_CHECK(wanted.contains(name) || is_shared_copy(name), kBadInput,
               "{}: holds the tensor '{}', which {} has no place for", file.path().string(), name,
               config_path.string());
  return model;
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
