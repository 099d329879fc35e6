#include "infer/generation_config.h"

#include <algorithm>

#include "core/error.h"
#include "model/gguf_model.h"

namespace shenhong {
namespace {

constexpr const char* kEndTokensKey = "shenhong.end_token_ids";
constexpr const char* kEotKey = "tokenizer.ggml.eot_token_id";

std::vector<int> end_tokens(const Json& json, const std::string& where, const ModelConfig& model) {
  std::vector<int> out;
  const auto add = [&](const Json& id) {
    SH_CHECK(id.is_number_integer() && id >= 0 && id < model.vocab_size, kBadInput,
             "{}: eos_token_id holds {}: want ids from 0 to {}", where, dump_json(id),
             model.vocab_size - 1);
    out.push_back(id.get<int>());
  };
  if (json.is_array()) {
    for (const Json& id : json) add(id);
  } else {
    add(json);
  }
  return out;
}

GenerationConfig read_json(const fs::path& path, const ModelConfig& model) {
  GenerationConfig out{{}, {model.eos_token_id}};
  if (!fs::exists(path)) return out;
  const std::string where = path.string();
  Json json = parse_json(read_file(path), where);
  SH_CHECK(json.is_object(), kBadInput, "{}: want a JSON object", where);
  for (auto it = json.begin(); it != json.end();)
    it = it->is_null() ? json.erase(it) : std::next(it);
  fields_from_json(out.sampling, json, where, /*strict=*/false);
  // Hugging Face's way to ask for the most likely token.
  if (json.contains("do_sample") && json["do_sample"] == false) out.sampling.temperature = 0;
  out.sampling.validate(where);
  if (json.contains("eos_token_id"))
    out.end_tokens = end_tokens(json["eos_token_id"], where, model);
  return out;
}

// A setting of ours under its name in GGUF.
struct Key {
  const char* field;
  std::string gguf;
};
const std::vector<Key>& sampling_keys() {
  static const std::vector<Key> keys = {
      {"temperature", "general.sampling.temp"},
      {"top_k", "general.sampling.top_k"},
      {"top_p", "general.sampling.top_p"},
      {"min_p", "general.sampling.min_p"},
      {"repetition_penalty", "general.sampling.penalty_repeat"},
      {"penalty_window", "general.sampling.penalty_last_n"},
      {"frequency_penalty", "shenhong.sampling.frequency_penalty"},
      {"presence_penalty", "shenhong.sampling.presence_penalty"},
      {"order", "shenhong.sampling.order"},
  };
  return keys;
}

// "All" is 0 here and -1 there; there, 0 switches the penalties off.
constexpr int kAllTokens = -1;

GenerationConfig read_metadata(const Gguf& file, const ModelConfig& model) {
  GenerationConfig out{{}, {model.eos_token_id}};
  const std::string where = file.path().string();
  Json json = Json::object();
  for (const auto& [field, key] : sampling_keys()) {
    if (!file.has(key)) continue;
    const GgufKind kind = file.metadata().at(key).kind;
    if (kind == GgufKind::kFloat32 || kind == GgufKind::kFloat64) {
      json[field] = file.decimal(key);
    } else if (kind == GgufKind::kString) {
      json[field] = std::string(file.string(key));
    } else {
      json[field] = file.integer(key);
    }
  }
  fields_from_json(out.sampling, json, where + ": general.sampling", /*strict=*/true);
  SamplingConfig& s = out.sampling;
  if (json.contains("penalty_window")) {
    if (s.penalty_window == 0) s.repetition_penalty = 1;
    s.penalty_window = std::max(s.penalty_window, 0);
  }
  s.top_k = std::max(s.top_k, 0);
  s.temperature = std::max(s.temperature, 0.0);
  s.validate(where);
  if (file.has(kEndTokensKey)) {
    out.end_tokens = end_tokens(Json(file.integers(kEndTokensKey)), where, model);
  } else if (file.has(kEotKey)) {
    const std::vector<int> eot = end_tokens(file.integer(kEotKey), where, model);
    if (eot != out.end_tokens) out.end_tokens.push_back(eot[0]);
  }
  return out;
}

// The settings that do something: seeds are nobody's business, and what is at our default while it
// is no cut changes nothing.
Json settings_in_use(const SamplingConfig& sampling) {
  const Json all = fields_to_json(sampling), ours = fields_to_json(SamplingConfig());
  Json out = Json::object();
  for (const auto& [name, value] : all.items()) {
    const bool cut = name == "temperature" || name == "top_k" || name == "top_p" || name == "min_p";
    if (name != "seed" && (cut || value != ours[name])) out[name] = value;
  }
  return out;
}

}  // namespace

GenerationConfig read_generation_config(const fs::path& model, const ModelConfig& config) {
  return is_gguf(model) ? read_metadata(Gguf(model), config)
                        : read_json(model / "generation_config.json", config);
}

std::string write_generation_config(const GenerationConfig& generation, const ModelConfig& config) {
  Json json = {{"_from_model_config", true}, {"bos_token_id", config.bos_token_id}};
  const std::vector<int>& ends = generation.end_tokens;
  json["eos_token_id"] = ends.size() == 1 ? Json(ends[0]) : Json(ends);
  json["do_sample"] = generation.sampling.temperature > 0;
  json.update(settings_in_use(generation.sampling));
  return dump_json(json, 2) + "\n";
}

GgufMetadata gguf_generation_metadata(const GenerationConfig& generation,
                                      const ModelConfig& config) {
  GgufMetadata out;
  const Json settings = settings_in_use(generation.sampling);
  for (const auto& [field, key] : sampling_keys()) {
    if (!settings.contains(field)) continue;
    const Json& value = settings[field];
    if (value.is_string()) {
      out.emplace_back(key, value.get<std::string>());
    } else if (value.is_number_integer()) {
      const int number = value.get<int>();
      const bool all = key.ends_with("penalty_last_n") && number == 0;
      out.emplace_back(key, int32_t(all ? kAllTokens : number));
    } else {
      out.emplace_back(key, value.get<float>());
    }
  }
  const std::vector<int>& ends = generation.end_tokens;
  if (ends == std::vector<int>{config.eos_token_id}) return out;
  out.emplace_back(kEndTokensKey, std::vector<int32_t>(ends.begin(), ends.end()));
  for (const int id : ends) {
    if (id == config.eos_token_id) continue;
    out.emplace_back(kEotKey, uint32_t(id));
    break;
  }
  return out;
}

}  // namespace shenhong
