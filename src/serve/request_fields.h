// Reads the members of a JSON object that a client sent. null is as good as absent; an unknown
// member is ignored; a wrong type or a value out of range throws ApiError(400) that names it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/json.h"
#include "serve/api_error.h"

namespace shenhong {

class RequestFields {
 public:
  // `where` stands before the names in errors: "" or "messages[2]". Keeps a reference.
  RequestFields(const Json& object, std::string where);

  const Json* find(std::string_view name) const;
  // The same, but ApiError where it is absent.
  const Json& need(std::string_view name) const;

  std::optional<double> number(std::string_view name, double low, double high) const;
  // A number without a fraction counts, however it is written.
  std::optional<int64_t> integer(std::string_view name, int64_t low, int64_t high) const;
  std::optional<bool> boolean(std::string_view name) const;
  std::optional<std::string> string(std::string_view name) const;

  std::string path(std::string_view name) const;

 private:
  const Json& object_;
  std::string where_;
};

// What an error shows of a value: JSON, cut after some characters.
std::string shown(const Json& value);

// ApiError(400, "invalid_type"): `path`: got `value`, want `wanted`.
[[noreturn]] void wrong_type(const std::string& path, const Json& value, std::string_view wanted);

}  // namespace shenhong
