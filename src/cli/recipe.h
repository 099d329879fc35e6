// A recipe: everything that makes a model, in one TOML file.
//
//   [data]       corpora, tokenizer                     -> data/NAME
//   [model]      DeepSeek-V3's config keys; vocab_size and the token ids come from the tokenizer
//   [pretrain]   the first stage                        -> runs/NAME/pretrain
//   [dialogues]  chat data made from the corpora        -> data/NAME/dialogues
//   [lookups]    chat data made from a knowledge graph  -> data/NAME/lookups
//   [chat]       the second stage                       -> runs/NAME/chat
//   [refine]     the third, may be absent: chat again   -> runs/NAME/refine
//   [drafts]     the last, may be absent: MTP modules   -> runs/NAME/drafts
//   [eval]       what the report measures               -> runs/NAME/report.md, runs/NAME/model
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "data/config.h"
#include "data/dialogues.h"
#include "grounding/lookup_dialogues.h"
#include "model/config.h"
#include "train/trainer.h"

namespace shenhong {

// The stages after the first: dialogues, whole ones, and some of the running text beside them, so
// that what was learnt there is not forgotten.
struct ChatConfig : TrainConfig {
  double text_share = 0;

  template <class Visit>
  void fields(Visit&& v) {
    TrainConfig::fields(v);
    v("text_share", text_share, "share of running text among the tokens; the rest are dialogues");
  }

  void validate(const std::string& where, const ModelConfig& model) const;
};

// The last stage: modules that predict the token after the next, for drafts, trained above weights
// that stay as they are, so that what the model says does not change.
struct DraftsConfig : ChatConfig {
  int modules = 1;

  DraftsConfig() {
    learn = "modules";
    mtp_weight = 1;
  }

  template <class Visit>
  void fields(Visit&& v) {
    ChatConfig::fields(v);
    v("modules", modules, "num_nextn_predict_layers of the finished model");
  }
};

struct EvalConfig {
  int poems = 200;
  int facts = 0;
  int64_t validation_windows = 400;

  template <class Visit>
  void fields(Visit&& v) {
    v("facts", facts,
      "questions per kind, language and invented world about facts of a graph; 0: none");
    v("poems", poems, "seeded samples per form of poem; 0: none");
    v("validation_windows", validation_windows, "windows per source of the final validation");
  }
};

struct Recipe {
  std::string name;  // the file's, without .toml
  fs::path path;
  DataConfig data;
  ModelConfig model;
  TrainConfig pretrain;
  ChatConfig chat;
  std::optional<ChatConfig> refine;
  std::optional<DraftsConfig> drafts;
  DialogueConfig dialogues;
  LookupConfig lookups;
  EvalConfig eval;

  // In their order.
  std::vector<std::string_view> stages() const;
  // Of a stage after the first.
  const ChatConfig& chat_stage(std::string_view stage) const;
  fs::path data_directory() const { return fs::path("data") / name; }
  fs::path dialogue_directory() const { return data_directory() / "dialogues"; }
  fs::path lookup_directory() const { return data_directory() / "lookups"; }
  fs::path tokenizer_path() const { return data_directory() / "tokenizer.json"; }
  fs::path run_directory() const { return fs::path("runs") / name; }
  fs::path model_directory() const { return run_directory() / "model"; }
  fs::path dialogue_templates() const { return path.parent_path() / "dialogues.toml"; }
};

// Error(kBadInput) or Error(kUsage) with the section and key that is wrong; unknown ones list the
// known.
Recipe load_recipe(const fs::path& path);

}  // namespace shenhong
