// What later stages take from the output of `shenhong data` beside the token shards.
#pragma once

#include <string_view>
#include <vector>

#include "core/file.h"
#include "data/document.h"

namespace shenhong {

// PREPARED/*/train.jsonl.zst in the order of their names. Error(kBadInput) when there is none.
std::vector<fs::path> training_documents(const fs::path& prepared);

// The text of a poem's document without its first row 《title》dynasty·author.
std::string_view text_below_heading(const Document& document);

}  // namespace shenhong
