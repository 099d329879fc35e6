#include "text/control_names.h"

#include "core/error.h"
#include "core/json.h"

namespace shenhong {

ControlNames read_control_names(const fs::path& model_directory) {
  ControlNames names;
  const fs::path path = model_directory / "tokenizer_config.json";
  if (!fs::exists(path)) return names;
  const std::string where = path.string();
  const Json json = parse_json(read_file(path), where);
  SH_CHECK(json.is_object(), kBadInput, "{}: want a JSON object", where);
  // A text, an object that holds it, or null for none.
  const auto read = [&](const char* key, std::string& name) {
    const auto found = json.find(key);
    if (found == json.end()) return;
    const Json& content =
        found->is_object() && found->contains("content") ? (*found)["content"] : *found;
    SH_CHECK(content.is_string() || content.is_null(), kBadInput,
             "{}: {} = {}: want the name of a token", where, key, dump_json(content));
    name = content.is_null() ? "" : content.get<std::string>();
  };
  read("bos_token", names.bos);
  read("eos_token", names.eos);
  read("pad_token", names.pad);
  if (names.bos != kBos) names.adds_bos.reset();
  if (const auto adds = json.find("add_bos_token"); adds != json.end() && !adds->is_null()) {
    SH_CHECK(adds->is_boolean(), kBadInput, "{}: add_bos_token = {}: want true or false", where,
             dump_json(*adds));
    names.adds_bos = adds->get<bool>();
  }
  return names;
}

}  // namespace shenhong
