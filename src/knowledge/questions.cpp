#include "knowledge/questions.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <initializer_list>

#include "core/error.h"
#include "formats/toml.h"

namespace shenhong {
namespace {

Phrase read_phrase(const Json& entry, std::initializer_list<std::string_view> slots,
                   const std::string& where) {
  SH_CHECK(entry.is_string(), kBadInput, "{}: {} is no text", where, entry.dump());
  Phrase phrase(entry.get<std::string>(), where);
  const bool exact = phrase.slots().size() == slots.size() &&
                     std::ranges::all_of(slots, [&](std::string_view slot) {
                       return phrase.slots().contains(slot);
                     });
  SH_CHECK(exact, kBadInput, "{}: \"{}\": want the slots {{{}}} and no others", where,
           phrase.text(), fmt::join(slots, "}, {"));
  return phrase;
}

template <class T, class Read>
BySplit<T> read_lists(const Json& table, const std::string& prefix, const std::string& where,
                      const Read& read) {
  BySplit<T> lists;
  for (const Split split : {Split::kTrain, Split::kTest}) {
    for (const Language language : {Language::kChinese, Language::kEnglish}) {
      const std::string key = fmt::format("{}{}{}", prefix, language_tag(language),
                                          split == Split::kTest ? "_test" : "");
      SH_CHECK(
          table.is_object() && table.contains(key) && table[key].is_array() && !table[key].empty(),
          kBadInput, "{}: has no list '{}'", where, key);
      for (const Json& entry : table[key])
        lists.of(split, language).push_back(read(entry, where + " " + key));
    }
  }
  return lists;
}

BySplit<Phrase> read_phrases(const Json& table, const std::string& prefix, const std::string& where,
                             std::initializer_list<std::string_view> slots) {
  return read_lists<Phrase>(table, prefix, where, [&](const Json& entry, const std::string& list) {
    return read_phrase(entry, slots, list);
  });
}

}  // namespace

Questions Questions::read(const fs::path& path) {
  const Json json = read_toml(path);
  const auto where = [&](std::string_view table) {
    return fmt::format("{} [{}]", path.string(), table);
  };
  const auto table = [&](const char* name) -> const Json& {
    SH_CHECK(json.contains(name) && json[name].is_object(), kBadInput, "{}: has no table [{}]",
             path.string(), name);
    return json[name];
  };
  Questions questions;
  for (const auto& [name, entry] : table("relation").items()) {
    Phrasings& phrasings = questions.relations[name];
    phrasings.forward = read_phrases(entry, "", where("relation." + name), {"s"});
    if (entry.contains("inverse_zh"))
      phrasings.inverse = read_phrases(entry, "inverse_", where("relation." + name), {"s"});
  }
  questions.two_hops = read_phrases(table("two_hops"), "", where("two_hops"), {"s", "a", "b"});
  questions.generic = read_phrases(table("generic"), "", where("generic"), {"s", "r"});
  questions.follow_up = read_phrases(table("follow_up"), "", where("follow_up"), {"r"});
  questions.asides = read_phrases(table("asides"), "", where("asides"), {"q"});
  questions.unknown = read_lists<UnknownRelation>(
      table("unknown"), "", where("unknown"), [](const Json& entry, const std::string& list) {
        SH_CHECK(entry.is_array() && entry.size() == 2 && entry[0].is_string(), kBadInput,
                 "{}: {} is no pair of a name and a phrasing", list, entry.dump());
        return UnknownRelation(entry[0], read_phrase(entry[1], {"s"}, list));
      });
  return questions;
}

}  // namespace shenhong
