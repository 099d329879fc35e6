#include "model/weight_files.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/floats.h"
#include "core/json.h"
#include "core/parallel.h"
#include "core/quoted.h"
#include "model/gguf_names.h"

namespace shenhong {
namespace {

std::vector<Safetensors> open_files(const fs::path& directory) {
  std::vector<Safetensors> files;
  const fs::path index = directory / "model.safetensors.index.json";
  if (!fs::exists(index)) {
    files.emplace_back(directory / "model.safetensors");
    return files;
  }
  Json json = parse_json(read_file(index), index.string());
  SH_CHECK(json.is_object() && json.contains("weight_map") && json["weight_map"].is_object(),
           kBadInput, "{}: has no \"weight_map\" object", index.string());
  std::set<std::string> names;
  for (const auto& [tensor, file] : json["weight_map"].items()) {
    SH_CHECK(file.is_string(), kBadInput, "{}: weight_map[{}] is not a file name", index.string(),
             in_quotes(tensor));
    names.insert(file.get<std::string>());
  }
  for (const std::string& name : names) {
    SH_CHECK(fs::path(name).filename() == name, kBadInput, "{}: {} is not a plain file name",
             index.string(), in_quotes(name));
    files.emplace_back(directory / name);
  }
  return files;
}

std::string text_of(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t n : shape) text += (text.empty() ? "" : ",") + std::to_string(n);
  return text;
}

// The config keys that decide a tensor's shape, for the error that reports a contradiction.
std::string shape_keys(const std::string& name) {
  const auto has = [&](const char* part) { return name.find(part) != name.npos; };
  if (has("embed_tokens") || has("lm_head")) return "vocab_size, hidden_size";
  if (has("k_proj") || has("v_proj")) return "num_key_value_heads, head_dim, hidden_size";
  if (has("kv_a_")) return "kv_lora_rank, qk_rope_head_dim, hidden_size";
  if (has("kv_b_")) return "num_attention_heads, qk_nope_head_dim, v_head_dim, kv_lora_rank";
  if (has("q_a_") || has("q_b_") || has("q_proj"))
    return "num_attention_heads, qk_nope_head_dim, qk_rope_head_dim or head_dim, q_lora_rank, "
           "hidden_size";
  if (has("o_proj")) return "hidden_size, num_attention_heads, v_head_dim or head_dim";
  if (has("mlp.gate.")) return "n_routed_experts, routing.identity_experts, hidden_size";
  if (has("experts")) return "moe_intermediate_size, n_shared_experts, hidden_size";
  if (has("mlp.")) return "intermediate_size, hidden_size";
  return "hidden_size";
}

// V2's routers choose without biases, which DeepSeek-V3's and ours name as their method.
bool may_lack_biases(const fs::path& path, const ModelConfig& config) {
  return config.scoring_func == "softmax" &&
         parse_json(read_file(path), path.string()).value("topk_method", Json()) != "noaux_tc";
}

constexpr int64_t kElementsAtOnce = 1 << 18;  // per work item

// Every element must be finite; decode(i) is element i, for the error.
template <class IsFinite, class Decode>
void check_finite(int64_t count, const std::string& name, const IsFinite& is_finite,
                  const Decode& decode) {
  parallel_ranges(count, kElementsAtOnce, [&](int64_t begin, int64_t end) {
    bool finite = true;
    for (int64_t i = begin; i < end; ++i) finite &= is_finite(i);
    for (int64_t i = begin; !finite && i < end; ++i)
      SH_CHECK(is_finite(i), kBadInput, "'{}': element {} is {}", name, i, decode(i));
  });
}
template <class Decode>
void check_finite(int64_t count, const std::string& name, const Decode& decode) {
  check_finite(
      count, name, [&](int64_t i) { return std::isfinite(decode(i)); }, decode);
}

template <class T>
T load(std::span<const uint8_t> bytes, int64_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * int64_t(sizeof(T)), sizeof value);
  return value;
}

}  // namespace

WeightFiles::WeightFiles(const fs::path& directory)
    : directory_(directory),
      files_(open_files(directory)),
      config_(read_config(directory / "config.json")),
      may_lack_biases_(may_lack_biases(directory / "config.json", config_)) {}

const TensorView* WeightFiles::find(const std::string& name) const {
  for (const Safetensors& file : files_) {
    if (const TensorView* tensor = file.find(name)) {
      read_.insert(name);
      return tensor;
    }
  }
  return nullptr;
}

const TensorView& WeightFiles::companion(const std::string& name, const char* dtype,
                                         std::vector<int64_t> shape) const {
  const TensorView* tensor = find(name);
  SH_CHECK(tensor, kBadInput, "{}: tensor '{}' is missing, which goes with a quantised weight",
           directory_.string(), name);
  SH_CHECK(tensor->dtype == dtype && tensor->shape == shape, kBadInput,
           "{}: '{}' is {} [{}]; the weight that it goes with asks for {} [{}]",
           directory_.string(), name, tensor->dtype, text_of(tensor->shape), dtype, text_of(shape));
  return *tensor;
}

QuantizedBuffer WeightFiles::read_four_bits(const std::string& name, const TensorView& packed,
                                            int rows, int cols) const {
  SH_CHECK(packed.dtype == "U8", kBadInput, "{}: '{}_packed' is {}; want U8", directory_.string(),
           name, packed.dtype);
  const std::string scale_name = name + "_scale";
  const TensorView* stored = find(scale_name);
  const bool nvfp4 = stored && stored->dtype == "F8_E4M3", int4 = stored && stored->dtype == "F16";
  const NumberFormat format = nvfp4  ? NumberFormat::kNVFP4
                              : int4 ? NumberFormat::kInt4
                                     : NumberFormat::kMXFP4;
  const int block = nvfp4 ? kNVFP4Block : kInt8Block;
  const TensorView& scales = companion(scale_name,
                                       nvfp4  ? "F8_E4M3"
                                       : int4 ? "F16"
                                              : "U8",
                                       {rows, (cols + block - 1) / block});
  check_finite(int64_t(rows) * cols / block, scale_name, [&](int64_t i) {
    return nvfp4  ? e4m3_to_float(scales.bytes[size_t(i)])
           : int4 ? f16_to_float(load<uint16_t>(scales.bytes, i))
                  : e8m0_to_float(scales.bytes[size_t(i)]);
  });
  float divisor = 1;
  if (nvfp4) {
    read_floats(companion(name + "_global_scale", "F32", {1}), name + "_global_scale",
                {&divisor, 1});
    SH_CHECK(divisor > 0, kBadInput, "{}: '{}_global_scale' is {}; want more than 0",
             directory_.string(), name, divisor);
  }
  return {{}, {}, {format, rows, cols, packed.bytes, scales.bytes, 1 / divisor}};
}

WeightFiles::Held WeightFiles::want(const std::string& name, int rows, int cols) const {
  const TensorView* tensor = find(name);
  const TensorView* packed = tensor ? nullptr : find(name + "_packed");
  SH_CHECK(tensor || packed, kBadInput, "{}: tensor '{}' is missing, which {} asks for",
           directory_.string(), name, (directory_ / "config.json").string());
  const std::vector<int64_t>& stored = (tensor ? tensor : packed)->shape;
  const std::vector<int64_t> wanted =
      rows == 1 && stored.size() == 1
          ? std::vector<int64_t>{cols}
          : std::vector<int64_t>{rows, packed ? (int64_t(cols) + 1) / 2 : cols};
  SH_CHECK(stored == wanted, kBadInput, "{}: '{}' is [{}]; {} ({}) asks for [{}]",
           directory_.string(), name, text_of(stored), (directory_ / "config.json").string(),
           shape_keys(name), text_of(wanted));
  return {tensor ? tensor : packed, packed != nullptr};
}

bool WeightFiles::is_absent_bias(const std::string& name) const {
  return may_lack_biases_ && name.ends_with("e_score_correction_bias") && !find(name);
}

ModelConfig WeightFiles::checked_config() const {
  const std::string where = (directory_ / "config.json").string();
  ModelConfig config = config_;
  int64_t held = 0;
  for (const Safetensors& file : files_) held += int64_t(file.tensors().size());
  const auto check_count = [&](int64_t least, const std::string& keys) {
    SH_CHECK(least <= held, kBadInput, "{}: {} ask for {} tensors or more, the files hold {}",
             where, keys, least, held);
  };
  const int layers = config.num_hidden_layers;
  check_count(layers, fmt::format("num_hidden_layers = {}", layers));
  if (!find(fmt::format("model.layers.{}.enorm.weight", layers)))
    config.num_nextn_predict_layers = 0;
  const int64_t moe_layers =
      std::max(layers - config.first_k_dense_replace, 0) + config.num_nextn_predict_layers;
  if (moe_layers > 0)
    check_count(
        3 * moe_layers * config.n_routed_experts,
        fmt::format("{} layers of n_routed_experts = {}", moe_layers, config.n_routed_experts));
  for (const GgufPlace& place : gguf_places(config))
    for (const std::string& name : place.names)
      if (!is_absent_bias(name)) want(name, place.rows, place.cols);
  return config;
}

QuantizedBuffer WeightFiles::read(const std::string& name, int rows, int cols) const {
  const int64_t count = int64_t(rows) * cols;
  // Made in memory.
  const auto floats = [&](auto&& fill) {
    QuantizedBuffer q;
    q.numbers.resize_zero(count * int64_t(sizeof(float)));
    fill(std::span(reinterpret_cast<float*>(q.numbers.data()), size_t(count)));
    q.view = {NumberFormat::kF32, rows, cols, q.numbers.span(), {}};
    return q;
  };
  // As they lie in the files.
  const auto mapped = [&](NumberFormat format, std::span<const uint8_t> numbers,
                          std::span<const uint8_t> scales) {
    return QuantizedBuffer{{}, {}, {format, rows, cols, numbers, scales}};
  };
  if (is_absent_bias(name)) return floats([](std::span<float>) {});
  const auto [tensor, packed] = want(name, rows, cols);
  const bool integers = packed || tensor->dtype == "I8";
  SH_CHECK(!integers || cols % kInt8Block == 0, kBadInput,
           "{}: '{}' has rows of {}; int8, nvfp4 and mxfp4 want a multiple of {}",
           directory_.string(), name, cols, kInt8Block);
  if (packed) return read_four_bits(name, *tensor, rows, cols);

  const std::span<const uint8_t> numbers = tensor->bytes;
  if (tensor->dtype == "BF16") {
    const auto bits = [&](int64_t i) { return load<uint16_t>(numbers, i); };
    check_finite(
        count, name, [&](int64_t i) { return bf16_is_finite(bits(i)); },
        [&](int64_t i) { return bf16_to_float(bits(i)); });
    return mapped(NumberFormat::kBF16, numbers, {});
  }
  if (tensor->dtype == "F8_E4M3") {
    const auto blocks = [](int size) { return (size + kFP8Block - 1) / kFP8Block; };
    const std::string scale_name = name + "_scale_inv";
    const auto scales = companion(scale_name, "F32", {blocks(rows), blocks(cols)}).bytes;
    check_finite(
        count, name, [&](int64_t i) { return e4m3_is_finite(numbers[size_t(i)]); },
        [&](int64_t i) { return e4m3_to_float(numbers[size_t(i)]); });
    check_finite(int64_t(scales.size()) / 4, scale_name,
                 [&](int64_t i) { return load<float>(scales, i); });
    return mapped(NumberFormat::kFP8, numbers, scales);
  }
  if (tensor->dtype == "I8") {
    const std::string scale_name = name + "_scale";
    const auto scales = companion(scale_name, "F16", {rows, cols / kInt8Block}).bytes;
    check_finite(int64_t(scales.size()) / 2, scale_name,
                 [&](int64_t i) { return f16_to_float(load<uint16_t>(scales, i)); });
    return mapped(NumberFormat::kInt8, numbers, scales);
  }
  return floats([&](std::span<float> to) { read_floats(*tensor, name, to); });
}

void WeightFiles::check_all_read(
    const std::function<bool(const std::string& name)>& may_stay) const {
  for (const Safetensors& file : files_)
    for (const auto& [name, ignored] : file.tensors())
      SH_CHECK(read_.contains(name) || may_stay(name), kBadInput,
               "{}: holds the tensor {}, which {} has no place for", file.path().string(),
               in_quotes(name), (directory_ / "config.json").string());
}

void copy_beside_weights(const fs::path& model, const fs::path& out) {
  for (const auto& entry : fs::directory_iterator(model)) {
    const fs::path name = entry.path().filename();
    if (!entry.is_regular_file() || name.string().starts_with("model.safetensors") ||
        name.extension() == ".safetensors")
      continue;
    fs::copy_file(entry.path(), out / name);
  }
}

bool is_shared_copy(const std::string& name) {
  return name.ends_with("shared_head.head.weight") ||
         (name.starts_with("model.layers.") && name.ends_with("embed_tokens.weight"));
}

bool is_prediction_module(const std::string& name, int layers) {
  for (const std::string_view prefix : {"model.layers.", "blk."}) {
    if (!name.starts_with(prefix)) continue;
    int layer = 0;
    const char* begin = name.data() + prefix.size();
    return std::from_chars(begin, name.data() + name.size(), layer).ec == std::errc() &&
           layer >= layers;
  }
  return false;
}

}  // namespace shenhong
