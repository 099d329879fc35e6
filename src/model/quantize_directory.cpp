#include "model/quantize_directory.h"

#include <cstring>
#include <memory>

#include "core/error.h"
#include "core/json.h"
#include "core/new_directory.h"
#include "model/config.h"
#include "model/weight_files.h"

namespace shenhong {
namespace {

constexpr std::pair<std::string_view, Recipe> kRecipes[] = {
    {"bf16", Recipe::kBF16}, {"fp8", Recipe::kFP8},     {"int8", Recipe::kInt8},
    {"int4", Recipe::kInt4}, {"nvfp4", Recipe::kNVFP4}, {"mxfp4", Recipe::kMXFP4},
    {"mix", Recipe::kMix}};

std::string_view recipe_name(Recipe recipe) {
  for (const auto& [name, value] : kRecipes)
    if (value == recipe) return name;
  return "";
}

struct Stored {
  std::string name;  // of the weight itself: without _packed
  int rows, cols;
};

// The matrices and vectors of a directory, with the shapes that they have as floats.
std::vector<Stored> weights_of(const WeightFiles& files) {
  std::vector<Stored> out;
  const auto belongs_to_another = [](const std::string& name) {
    return name.ends_with(".weight_scale") || name.ends_with(".weight_scale_inv") ||
           name.ends_with(".weight_global_scale");
  };
  for (const Safetensors& file : files.files()) {
    for (const auto& [name, tensor] : file.tensors()) {
      if (belongs_to_another(name)) continue;
      SH_CHECK(tensor.shape.size() == 1 || tensor.shape.size() == 2, kBadInput,
               "{}: '{}' has {} dimensions; want a matrix or a vector", file.path().string(), name,
               tensor.shape.size());
      const bool packed = name.ends_with("_packed");
      const bool vector = tensor.shape.size() == 1;
      out.push_back({packed ? name.substr(0, name.size() - 7) : name,
                     vector ? 1 : int(tensor.shape[0]),
                     int(tensor.shape.back()) * (packed ? 2 : 1)});
    }
  }
  return out;
}

void copy_bytes(std::span<const uint8_t> from, std::span<uint8_t> to) {
  SH_ASSERT(from.size() == to.size());
  if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
}

// The tensors of one weight in its new format, as weight_files.h names them.
void add_tensors(const WeightFiles& files, const Stored& w, NumberFormat format,
                 std::vector<TensorToWrite>& out) {
  const auto held = std::make_shared<QuantizedBuffer>();
  const auto numbers = [&files, w, format, held](std::span<uint8_t> to) {
    const QuantizedBuffer stored = files.read(w.name, w.rows, w.cols);
    Buffer<float> values(int64_t(w.rows) * w.cols);
    dequantize(stored.view, values.data());
    *held = quantize(format, w.rows, w.cols, values.data());
    copy_bytes(held->view.numbers, to);
  };
  const auto scales = [held](std::span<uint8_t> to) { copy_bytes(held->view.scales, to); };
  const std::vector<int64_t> shape =
      w.rows == 1 ? std::vector<int64_t>{w.cols} : std::vector<int64_t>{w.rows, w.cols};
  const auto blocks = [](int size, int block) { return int64_t((size + block - 1) / block); };
  switch (format) {
    case NumberFormat::kF32:
      out.push_back({w.name, "F32", shape, numbers});
      break;
    case NumberFormat::kBF16:
      out.push_back({w.name, "BF16", shape, numbers});
      break;
    case NumberFormat::kFP8:
      out.push_back({w.name, "F8_E4M3", shape, numbers});
      out.push_back({w.name + "_scale_inv",
                     "F32",
                     {blocks(w.rows, kFP8Block), blocks(w.cols, kFP8Block)},
                     scales});
      break;
    case NumberFormat::kInt8:
      out.push_back({w.name, "I8", shape, numbers});
      out.push_back({w.name + "_scale", "F16", {w.rows, w.cols / kInt8Block}, scales});
      break;
    case NumberFormat::kInt4:
      out.push_back({w.name + "_packed", "U8", {w.rows, w.cols / 2}, numbers});
      out.push_back({w.name + "_scale", "F16", {w.rows, w.cols / kInt8Block}, scales});
      break;
    case NumberFormat::kNVFP4:
      out.push_back({w.name + "_packed", "U8", {w.rows, w.cols / 2}, numbers});
      out.push_back({w.name + "_scale", "F8_E4M3", {w.rows, w.cols / kNVFP4Block}, scales});
      out.push_back({w.name + "_global_scale", "F32", {1}, [held](std::span<uint8_t> to) {
                       const float divisor = 1 / held->view.scale;
                       std::memcpy(to.data(), &divisor, sizeof divisor);
                     }});
      break;
    case NumberFormat::kMXFP4:
      out.push_back({w.name + "_packed", "U8", {w.rows, w.cols / 2}, numbers});
      out.push_back({w.name + "_scale", "U8", {w.rows, w.cols / kMXFP4Block}, scales});
      break;
    case NumberFormat::kUint4:
      SH_ASSERT(false);  // no recipe asks for it
      break;
  }
}

Json quantization_config(Recipe recipe) {
  if (recipe != Recipe::kFP8)
    return {{"quant_method", "shenhong"}, {"format", recipe_name(recipe)}};
  return {{"quant_method", "fp8"},
          {"fmt", "e4m3"},
          {"activation_scheme", "dynamic"},
          {"weight_block_size", {kFP8Block, kFP8Block}}};
}

void write_directory(const fs::path& in, const fs::path& out, Recipe recipe) {
  const std::string config_path = (in / "config.json").string();
  const bool tied = read_config(in / "config.json").tie_word_embeddings;
  const WeightFiles files(in);
  std::vector<TensorToWrite> tensors;
  for (const Stored& w : weights_of(files)) {
    const NumberFormat format = w.rows == 1 ? NumberFormat::kF32 : format_of(recipe, w.name, tied);
    SH_CHECK(fits_blocks(format, w.cols), kUsage,
             "{}: '{}' has rows of {}; {} wants a multiple of {}: choose bf16 or fp8", in.string(),
             w.name, w.cols, format_name(format), kInt8Block);
    add_tensors(files, w, format, tensors);
  }
  Json config = parse_json(read_file(in / "config.json"), config_path);
  config.erase("quantization_config");
  if (recipe != Recipe::kBF16) config["quantization_config"] = quantization_config(recipe);
  copy_beside_weights(in, out);
  write_file(out / "config.json", dump_json(config, 2) + "\n");
  write_safetensors(out / "model.safetensors", tensors, {{"format", "pt"}});
}

}  // namespace

Recipe parse_recipe(std::string_view name) {
  std::string known;
  for (const auto& [text, recipe] : kRecipes) {
    if (text == name) return recipe;
    known += (known.empty() ? "" : ", ") + std::string(text);
  }
  fail(Exit::kUsage, "--format {}: want one of {}", name, known);
}

NumberFormat format_of(Recipe recipe, const std::string& name, bool tied) {
  const auto has = [&](const char* part) { return name.find(part) != name.npos; };
  const bool embedding = has("embed_tokens"), head = has("lm_head") || has("shared_head.head");
  const bool heads = head || (embedding && tied);
  if (has("mlp.gate.")) return NumberFormat::kF32;
  if (has("ngram_memory.")) return NumberFormat::kBF16;
  if (recipe == Recipe::kBF16 || (embedding && !heads)) return NumberFormat::kBF16;
  if (recipe == Recipe::kFP8) return heads ? NumberFormat::kBF16 : NumberFormat::kFP8;
  if (has("kv_b_proj")) return NumberFormat::kBF16;
  if (heads || recipe == Recipe::kInt8) return NumberFormat::kInt8;
  if (recipe == Recipe::kInt4) return NumberFormat::kInt4;
  if (recipe == Recipe::kNVFP4) return NumberFormat::kNVFP4;
  if (recipe == Recipe::kMXFP4) return NumberFormat::kMXFP4;
  return has("mlp.experts.") ? NumberFormat::kNVFP4 : NumberFormat::kInt8;
}

void quantize_directory(const fs::path& in, const fs::path& out, Recipe recipe) {
  SH_CHECK(fs::is_directory(in), kBadInput,
           "{}: no such model directory; want one with config.json and model.safetensors",
           in.string());
  write_new_directory(out, [&](const fs::path& partial) { write_directory(in, partial, recipe); });
}

}  // namespace shenhong
