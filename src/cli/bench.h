// What the benches share.
#pragma once

#include <vector>

#include "core/json.h"
#include "model/config.h"

namespace CLI {
class App;
}

namespace shenhong {

void add_bench_serve(CLI::App& bench);

// One figure a line, or one JSON object.
void print_figures(const Json& figures, bool as_json);

// `count` ids of the vocabulary.
std::vector<int> random_prompt(const ModelConfig& config, int count, uint64_t seed);

}  // namespace shenhong
