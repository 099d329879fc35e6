#include "serve/request_fields.h"

#include <cmath>

#include "core/error.h"

namespace shenhong {
namespace {

[[noreturn]] void out_of_range(const std::string& path, const Json& value, const auto& low,
                               const auto& high) {
  throw ApiError(400, "invalid_value",
                 fmt::format("{} = {}: want {} to {}", path, shown(value), low, high), path);
}

}  // namespace

std::string shown(const Json& value) {
  constexpr size_t kLongest = 60;
  std::string text = dump_json(value);
  if (text.size() <= kLongest) return text;
  size_t end = kLongest;
  while (end > 0 && (uint8_t(text[end]) & 0xC0) == 0x80) --end;  // not inside a character
  return text.substr(0, end) + "…";
}

void wrong_type(const std::string& path, const Json& value, std::string_view wanted) {
  throw ApiError(400, "invalid_type", fmt::format("{} = {}: want {}", path, shown(value), wanted),
                 path);
}

RequestFields::RequestFields(const Json& object, std::string where)
    : object_(object), where_(std::move(where)) {
  if (!object.is_object()) wrong_type(where_.empty() ? "body" : where_, object, "an object");
}

std::string RequestFields::path(std::string_view name) const {
  return where_.empty() ? std::string(name) : fmt::format("{}.{}", where_, name);
}

const Json* RequestFields::find(std::string_view name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

const Json& RequestFields::need(std::string_view name) const {
  const Json* value = find(name);
  if (!value) {
    throw ApiError(400, "missing_required_parameter", path(name) + ": missing", path(name));
  }
  return *value;
}

std::optional<double> RequestFields::number(std::string_view name, double low, double high) const {
  const Json* value = find(name);
  if (!value) return std::nullopt;
  if (!value->is_number()) wrong_type(path(name), *value, "a number");
  const double number = value->get<double>();
  if (!(number >= low && number <= high)) out_of_range(path(name), *value, low, high);
  return number;
}

std::optional<int64_t> RequestFields::integer(std::string_view name, int64_t low,
                                              int64_t high) const {
  const Json* value = find(name);
  if (!value) return std::nullopt;
  if (value->is_number_float()) {
    const double number = value->get<double>();
    if (number != std::floor(number)) wrong_type(path(name), *value, "an integer");
    // Beyond 2^53 a double names no single integer.
    if (!(std::abs(number) <= 0x1p53)) out_of_range(path(name), *value, low, high);
    const int64_t whole = int64_t(number);
    if (whole < low || whole > high) out_of_range(path(name), *value, low, high);
    return whole;
  }
  if (!value->is_number_integer()) wrong_type(path(name), *value, "an integer");
  const bool too_big = value->is_number_unsigned() && value->get<uint64_t>() > uint64_t(INT64_MAX);
  if (too_big || value->get<int64_t>() < low || value->get<int64_t>() > high) {
    out_of_range(path(name), *value, low, high);
  }
  return value->get<int64_t>();
}

std::optional<bool> RequestFields::boolean(std::string_view name) const {
  const Json* value = find(name);
  if (!value) return std::nullopt;
  if (!value->is_boolean()) wrong_type(path(name), *value, "true or false");
  return value->get<bool>();
}

std::optional<std::string> RequestFields::string(std::string_view name) const {
  const Json* value = find(name);
  if (!value) return std::nullopt;
  if (!value->is_string()) wrong_type(path(name), *value, "a string");
  return value->get<std::string>();
}

}  // namespace shenhong
