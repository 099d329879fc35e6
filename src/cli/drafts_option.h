// --drafts N|auto|off, the same for every verb that answers.
#pragma once

#include <CLI/CLI.hpp>

#include "infer/draft_depth.h"

namespace shenhong {

// `drafts` holds what is meant without it, and must outlive the parse.
void add_drafts_option(CLI::App& verb, int& drafts);

}  // namespace shenhong
