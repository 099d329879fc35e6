// The stages of a recipe, each resumable by itself: `shenhong data`, `train` and `run` are made of
// them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/recipe.h"

namespace shenhong {

// Corpora -> tokenizer, shards, dialogues and their shards. Returns the report as Markdown.
std::string run_data_stage(const Recipe& recipe);

// One of recipe.stages(), each of which starts from the weights of the one before. Error(kInterrupted)
// after SIGTERM or SIGINT, with everything saved; Error(kDiverged) when the loss guard gave up.
// Returns the validation at the end.
std::vector<ValidationLoss> run_train_stage(const Recipe& recipe, std::string_view stage);

void print_validation(const std::vector<ValidationLoss>& losses, bool as_json);

// The last stage's weights as a model directory with tokenizer, template and model card; then the
// report. Returns the report's JSON.
Json run_export_stage(const Recipe& recipe);

}  // namespace shenhong
