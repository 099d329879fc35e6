#include "cli/recipe.h"

#include "formats/toml.h"

namespace shenhong {

void ChatConfig::validate(const std::string& where, const ModelConfig& model) const {
  TrainConfig::validate(where, model);
  SH_CHECK(text_share >= 0 && text_share < 1, kUsage,
           "{}: text_share = {}: want a share from 0 to below 1", where, text_share);
}

std::vector<std::string_view> Recipe::stages() const {
  if (refine) return {"pretrain", "chat", "refine"};
  return {"pretrain", "chat"};
}

Recipe load_recipe(const fs::path& path) {
  const Json json = read_toml(path);
  const std::string where = path.string();
  Recipe recipe;
  recipe.path = path;
  recipe.name = path.stem().string();
  for (const auto& [section, ignored] : json.items())
    SH_CHECK(
        section == "data" || section == "model" || section == "pretrain" ||
            section == "dialogues" || section == "lookups" || section == "chat" ||
            section == "refine" || section == "eval",
        kUsage,
        "{}: unknown section [{}]; known: data, model, pretrain, dialogues, lookups, chat, refine, "
        "eval",
        where, section);
  for (const char* section : {"data", "model", "pretrain"})
    SH_CHECK(json.contains(section), kUsage, "{}: has no section [{}]", where, section);

  const auto read = [&](const char* section, auto& into) {
    if (json.contains(section))
      fields_from_json(into, json[section], fmt::format("{} [{}]", where, section));
  };
  recipe.data = data_config_from_json(json["data"], where + " [data]");
  read("model", recipe.model);
  recipe.model.vocab_size = recipe.data.vocab_size;
  recipe.model.validate(where + " [model]");
  read("pretrain", recipe.pretrain);
  read("chat", recipe.chat);
  if (json.contains("refine")) read("refine", recipe.refine.emplace());
  read("dialogues", recipe.dialogues);
  read("lookups", recipe.lookups);
  read("eval", recipe.eval);
  recipe.pretrain.validate(where + " [pretrain]", recipe.model);
  recipe.chat.validate(where + " [chat]", recipe.model);
  if (recipe.refine) recipe.refine->validate(where + " [refine]", recipe.model);
  return recipe;
}

}  // namespace shenhong
