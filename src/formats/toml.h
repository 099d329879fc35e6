// TOML, the language of recipes and of phrasings, read into the same Json value that `fields_from_json` takes.
#pragma once

#include <string_view>

#include "core/file.h"
#include "core/json.h"

namespace shenhong {

// Keys come out in alphabetical order. Error(kBadInput) as source:line:column on broken text, a
// value that JSON cannot hold (dates, infinity, NaN), or nesting beyond 16 tables or lists.
Json parse_toml(std::string_view text, std::string_view source);

// The file at `path`; at most 8 MiB.
Json read_toml(const fs::path& path);

}  // namespace shenhong
