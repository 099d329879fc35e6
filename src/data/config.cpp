#include "data/config.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

namespace shenhong {
namespace {

constexpr std::array<std::string_view, 7> kFormats = {"text",   "paragraphs", "json",      "jsonl",
                                                      "poetry", "pairs",      "dictionary"};
constexpr std::array<std::string_view, 3> kForms = {"modern", "classical", "paired"};

template <size_t N>
std::string listed(const std::array<std::string_view, N>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

template <size_t N>
bool is_one_of(std::string_view name, const std::array<std::string_view, N>& names) {
  return std::ranges::find(names, name) != names.end();
}

bool is_directory_name(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, fits);
}

void check_share(double value, const char* name, const std::string& where) {
  SH_CHECK(value >= 0 && value <= 1, kUsage, "{}: {} = {}: want 0 to 1", where, name, value);
}

void check_source(const SourceConfig& source, const std::string& where) {
  SH_CHECK(is_directory_name(source.name), kUsage,
           "{}: source name '{}': want 1 to 64 letters, digits, '-' or '_'", where, source.name);
  const std::string here = where + " source " + source.name;
  SH_CHECK(!source.path.empty(), kUsage, "{}: has no path", here);
  SH_CHECK(is_one_of(source.format, kFormats), kUsage, "{}: format = '{}'; known: {}", here,
           source.format, listed(kFormats));
  SH_CHECK(!source.emit.empty(), kUsage, "{}: emit is empty; known: {}", here, listed(kForms));
  for (const std::string& form : source.emit)
    SH_CHECK(is_one_of(form, kForms), kUsage, "{}: emit holds '{}'; known: {}", here, form,
             listed(kForms));
  SH_CHECK(source.weight >= 0 && source.weight <= 1e6, kUsage, "{}: weight = {}: want 0 to 1e6",
           here, source.weight);
  SH_CHECK(source.min_chars >= 0 && source.max_chars >= 0, kUsage,
           "{}: min_chars = {}, max_chars = {}: want 0 or more", here, source.min_chars,
           source.max_chars);
  check_share(source.min_han_share, "min_han_share", here);
  check_share(source.max_repeated_lines, "max_repeated_lines", here);
  SH_CHECK(source.validation_share <= 1, kUsage, "{}: validation_share = {}: want at most 1", here,
           source.validation_share);
  for (const std::string& text : source.unwanted)
    SH_CHECK(!text.empty(), kUsage, "{}: unwanted holds an empty string, which is in every text",
             here);
}

}  // namespace

void to_json(Json& json, const SourceConfig& source) { json = fields_to_json(source); }

void from_json(const Json& json, SourceConfig& source) {
  const bool named = json.is_object() && json.contains("name") && json["name"].is_string();
  fields_from_json(source, json,
                   named ? "data source " + json["name"].get<std::string>() : "data source");
}

DataConfig data_config_from_json(const Json& json, const std::string& where) {
  DataConfig config;
  fields_from_json(config, json, where);
  check(config, where);
  return config;
}

void check(const DataConfig& config, const std::string& where) {
  SH_CHECK(!config.sources.empty(), kUsage, "{}: no sources; want one table each under sources",
           where);
  std::set<std::string> names;
  for (const SourceConfig& source : config.sources) {
    check_source(source, where);
    SH_CHECK(names.insert(source.name).second, kUsage, "{}: two sources named '{}'", where,
             source.name);
  }
  SH_CHECK(config.vocab_size >= 512 && config.vocab_size <= 1 << 20, kUsage,
           "{}: vocab_size = {}: want 512 to 1048576", where, config.vocab_size);
  SH_CHECK(config.max_han_per_token >= 0, kUsage, "{}: max_han_per_token = {}: want 0 or more",
           where, config.max_han_per_token);
  SH_CHECK(config.tokenizer_sample_mib > 0 && config.tokenizer_sample_mib <= 4096, kUsage,
           "{}: tokenizer_sample_mib = {}: want above 0, at most 4096", where,
           config.tokenizer_sample_mib);
  check_share(config.validation_share, "validation_share", where);
  check_share(config.near_duplicate, "near_duplicate", where);
  SH_CHECK(config.memory_mib >= 16 && config.memory_mib <= 1 << 24, kUsage,
           "{}: memory_mib = {}: want 16 to 16777216", where, config.memory_mib);
}

}  // namespace shenhong
