// Names out of a file, made fit for a message.
#pragma once

#include <string>
#include <string_view>

#include "core/json.h"

namespace shenhong {

// In quotes, on one line and of bounded length, whatever its bytes are.
inline std::string in_quotes(std::string_view name) {
  const bool cut = name.size() > 100;
  std::string text = dump_json(Json(std::string(name.substr(0, 100))));
  text.front() = text.back() = '\'';
  return cut ? text + "..." : text;
}

}  // namespace shenhong
