#include "cli/recipe.h"

#include "formats/toml.h"

namespace shenhong {

void ChatConfig::validate(const std::string& where, const ModelConfig& model) const {
  TrainConfig::validate(where, model);
  SH_CHECK(text_share >= 0 && text_share < 1, kUsage,
           "{}: text_share = {}: want a share from 0 to below 1", where, text_share);
}

std::vector<std::string_view> Recipe::stages() const {
  std::vector<std::string_view> stages = {"pretrain", "chat"};
  if (refine) stages.push_back("refine");
  if (drafts) stages.push_back("drafts");
  return stages;
}

const ChatConfig& Recipe::chat_stage(std::string_view stage) const {
  if (stage == "refine") return refine.value();
  if (stage == "drafts") return drafts.value();
  return chat;
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
            section == "refine" || section == "drafts" || section == "eval",
        kUsage,
        "{}: unknown section [{}]; known: data, model, pretrain, dialogues, lookups, chat, refine, "
        "drafts, eval",
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
  if (json.contains("drafts")) read("drafts", recipe.drafts.emplace());
  read("dialogues", recipe.dialogues);
  read("lookups", recipe.lookups);
  read("eval", recipe.eval);
  recipe.pretrain.validate(where + " [pretrain]", recipe.model);
  recipe.chat.validate(where + " [chat]", recipe.model);
  if (recipe.refine) recipe.refine->validate(where + " [refine]", recipe.model);
  if (recipe.drafts) {
    ModelConfig finished = recipe.model;
    finished.num_nextn_predict_layers = recipe.drafts->modules;
    finished.validate(where + " [drafts]");
    recipe.drafts->validate(where + " [drafts]", finished);
  }
  return recipe;
}

}  // namespace shenhong
