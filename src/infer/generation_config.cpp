#include "infer/generation_config.h"

namespace shenhong {
namespace {

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

}  // namespace

GenerationConfig read_generation_config(const fs::path& model_directory, const ModelConfig& model) {
  GenerationConfig out{{}, {model.eos_token_id}};
  const fs::path path = model_directory / "generation_config.json";
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

}  // namespace shenhong
