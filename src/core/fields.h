// One list of fields per struct, many uses: reading JSON or a recipe, writing JSON, help, equality.
//
//   struct TrainConfig {
//     double lr = 1e-3;
//     template <class Visit> void fields(Visit&& v) { v("lr", lr, "peak learning rate"); }
//   };
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "core/error.h"
#include "core/json.h"

namespace shenhong {

template <class T>
concept HasFields = requires(T value) {
  value.fields([](const char*, auto&, const char*) {});
};

template <HasFields T>
Json fields_to_json(const T& value) {
  Json out = Json::object();
  const_cast<T&>(value).fields([&](const char* name, auto& member, const char*) {
    if constexpr (HasFields<std::remove_cvref_t<decltype(member)>>) {
      out[name] = fields_to_json(member);
    } else {
      out[name] = member;
    }
  });
  return out;
}

// Why `json` cannot become a `Member`, or nullptr. An integer is a fine number; a fraction is no
// integer.
template <class Member>
const char* mismatch(const Json& json) {
  if constexpr (std::is_same_v<Member, bool>)
    return json.is_boolean() ? nullptr : "true or false";
  else if constexpr (std::is_integral_v<Member>)
    return json.is_number_integer() ? nullptr : "an integer";
  else if constexpr (std::is_floating_point_v<Member>)
    return json.is_number() ? nullptr : "a number";
  else if constexpr (std::is_same_v<Member, std::string>)
    return json.is_string() ? nullptr : "a string";
  else
    return json.is_array() ? nullptr : "a list";
}

// Sets the members that `json` names and leaves the others. `where` names the thing in errors
// ("recipes/mini.toml [train]"). With `strict`, an unknown key is an error that lists the known
// ones.
template <HasFields T>
void fields_from_json(T& value, const Json& json, const std::string& where, bool strict = true) {
  SH_CHECK(json.is_object(), kBadInput, "{}: want a table of settings, got {}", where,
           json.type_name());
  std::string known;
  size_t used = 0;
  value.fields([&](const char* name, auto& member, const char*) {
    using Member = std::remove_cvref_t<decltype(member)>;
    known += known.empty() ? name : std::string(", ") + name;
    const auto found = json.find(name);
    if (found == json.end()) return;
    ++used;
    if constexpr (HasFields<Member>) {
      fields_from_json(member, *found, where + "." + name, strict);
    } else {
      const char* wanted = mismatch<Member>(*found);
      SH_CHECK(!wanted, kBadInput, "{}: {} = {}: want {}", where, name, dump_json(*found), wanted);
      try {
        member = found->template get<Member>();
      } catch (const nlohmann::json::exception&) {
        fail(Exit::kBadInput, "{}: {} = {}: the list holds something of the wrong type", where,
             name, dump_json(*found));
      }
    }
  });
  if (!strict || used == json.size()) return;
  for (const auto& [key, ignored] : json.items()) {
    bool is_known = false;
    value.fields([&](const char* name, auto&, const char*) { is_known |= key == name; });
    SH_CHECK(is_known, kUsage, "{}: unknown key '{}'; known: {}", where, key, known);
  }
}

template <HasFields T>
bool fields_equal(const T& a, const T& b) {
  return fields_to_json(a) == fields_to_json(b);
}

}  // namespace shenhong
