// JSON as the rest of the program sees it: nlohmann's value type behind a parser that outside input
// cannot crash (depth and duplicate keys are checked) and that says where it stopped.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace shenhong {

using Json = nlohmann::ordered_json;

// Parses one JSON text. `source` is how errors name it (a path, "request body").
// Throws Error(kBadInput) with line:column on broken text, nesting beyond 64, or a key given twice.
Json parse_json(std::string_view text, std::string_view source);

// One line, or indented when indent > 0. Broken UTF-8 is written as U+FFFD, never thrown on.
std::string dump_json(const Json& value, int indent = -1);

}  // namespace shenhong
