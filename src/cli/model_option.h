// --model MODEL, the same for every verb that runs a model.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

#include "core/file.h"

namespace shenhong {

// Adds --model (also SHENHONG_MODEL). `directory` must outlive the parse.
void add_model_option(CLI::App& verb, std::string& directory);

// What was asked for, else the newest directory of ./models that holds a config.json.
// Error(kUsage) when there is none.
fs::path find_model(const std::string& directory);

}  // namespace shenhong
