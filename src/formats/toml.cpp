#include "formats/toml.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"

namespace shenhong {
namespace {

constexpr int kMaxDepth = 16;
constexpr size_t kMaxBytes = 8 << 20;

std::string place(std::string_view source, const toml::source_region& region) {
  return fmt::format("{}:{}:{}", source, region.begin.line, region.begin.column);
}

// The parser bounds nested brackets but not a.b.c...: a chain of a million dots would build a tree
// whose destructor recurses a million times. A key stands on one line, so lines are looked at
// alone.
void check_dotted_keys(std::string_view line, std::string_view source, int number) {
  int dots = 0;
  char quote = 0, last = 0;
  for (size_t i = 0; i < line.size(); last = line[i], ++i) {
    const char c = line[i];
    if (quote) {
      if (c == quote) quote = 0;
      if (c == '\\' && quote == '"' && i + 1 < line.size()) ++i;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '.' && last != '.') {
      SH_CHECK(++dots < kMaxDepth, kBadInput, "{}:{}: a dotted key of more than {} parts", source,
               number, kMaxDepth);
    } else if (std::string_view(",=[]{}#.").find(c) != std::string_view::npos) {
      dots = 0;
    }
  }
}

void check_dotted_keys(std::string_view text, std::string_view source) {
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size() - 1);
    check_dotted_keys(text.substr(0, end), source, number);
    text.remove_prefix(end + 1);
  }
}

Json convert(const toml::node& node, std::string_view source, int depth) {
  SH_CHECK(depth <= kMaxDepth, kBadInput, "{}: nested deeper than {} levels",
           place(source, node.source()), kMaxDepth);
  if (const toml::table* table = node.as_table()) {
    Json out = Json::object();
    for (const auto& [key, value] : *table)
      out[std::string(key.str())] = convert(value, source, depth + 1);
    return out;
  }
  if (const toml::array* array = node.as_array()) {
    Json out = Json::array();
    for (const toml::node& value : *array) out.push_back(convert(value, source, depth + 1));
    return out;
  }
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* integer = node.as_integer()) return integer->get();
  if (const auto* boolean = node.as_boolean()) return boolean->get();
  if (const auto* number = node.as_floating_point()) {
    SH_CHECK(std::isfinite(number->get()), kBadInput, "{}: want a finite number",
             place(source, node.source()));
    return number->get();
  }
  fail(Exit::kBadInput, "{}: dates and times have no use here; write a string",
       place(source, node.source()));
}

}  // namespace

Json parse_toml(std::string_view text, std::string_view source) {
  SH_CHECK(text.size() <= kMaxBytes, kBadInput, "{}: {} bytes; at most {} are read", source,
           text.size(), kMaxBytes);
  check_dotted_keys(text, source);
  try {
    return convert(toml::parse(text, source), source, 0);
  } catch (const toml::parse_error& e) {
    fail(Exit::kBadInput, "{}: not valid TOML: {}", place(source, e.source()), e.description());
  }
}

Json read_toml(const fs::path& path) { return parse_toml(read_file(path), path.string()); }

}  // namespace shenhong
