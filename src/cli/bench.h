// What the benches share.
#pragma once

#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "infer/engine.h"
#include "model/config.h"

namespace CLI {
class App;
}

namespace shenhong {

void add_bench_serve(CLI::App& bench);

// What the options' drafts (infer/draft_depth.h) bring with the model's own texts: per text and
// temperature {"text", "temperature", "tokens_per_s_plain", "tokens_per_s", "ratio", "acceptance":
// [by depth]}. Error as Engine.
Json bench_drafts(const fs::path& model, const EngineOptions& options, int repeats);
void print_drafts(const Json& rows);

// One figure a line, or one JSON object.
void print_figures(const Json& figures, bool as_json);

// `count` ids of the vocabulary.
std::vector<int> random_prompt(const ModelConfig& config, int count, uint64_t seed);

}  // namespace shenhong
