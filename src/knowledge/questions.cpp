#include "knowledge/questions.h"

#include <initializer_list>

#include "core/error.h"
#include "formats/toml.h"

namespace shenhong {
namespace {

void check_slots(const std::string& phrase, std::initializer_list<std::string_view> slots, const std::string& where) {
  for (const std::string_view slot : slots) {
    const size_t at = phrase.find(slot);
    SH_CHECK(at != phrase.npos && phrase.find(slot, at + 1) == phrase.npos, kBadInput,
             "{}: \"{}\": want {} exactly once", where, phrase, slot);
  }
}

template <class T, class Read>
BySplit<T> read_lists(const Json& table, const std::string& prefix, const std::string& where, const Read& read) {
  BySplit<T> lists;
  for (const Split split : {Split::kTrain, Split::kTest}) {
    for (const Language language : {Language::kChinese, Language::kEnglish}) {
      const std::string key = fmt::format("{}{}{}", prefix, language_tag(language), split == Split::kTest ? "_test" : "");
      SH_CHECK(table.is_object() && table.contains(key) && table[key].is_array() && !table[key].empty(), kBadInput,
               "{}: has no list '{}'", where, key);
      for (const Json& entry : table[key]) lists.of(split, language).push_back(read(entry, where + " " + key));
    }
  }
  return lists;
}

BySplit<std::string> read_phrases(const Json& table, const std::string& prefix, const std::string& where,
                                  std::initializer_list<std::string_view> slots) {
  return read_lists<std::string>(table, prefix, where, [&](const Json& entry, const std::string& list) {
    SH_CHECK(entry.is_string(), kBadInput, "{}: {} is no text", list, entry.dump());
    check_slots(entry, slots, list);
    return entry.get<std::string>();
  });
}

}  // namespace

Questions Questions::read(const fs::path& path) {
  const Json json = read_toml(path);
  const auto where = [&](std::string_view table) { return fmt::format("{} [{}]", path.string(), table); };
  const auto table = [&](const char* name) -> const Json& {
    SH_CHECK(json.contains(name) && json[name].is_object(), kBadInput, "{}: has no table [{}]", path.string(), name);
    return json[name];
  };
  Questions questions;
  for (const auto& [name, entry] : table("relation").items()) {
    Phrasings& phrasings = questions.relations[name];
    phrasings.forward = read_phrases(entry, "", where("relation." + name), {"{s}"});
    if (entry.contains("inverse_zh")) phrasings.inverse = read_phrases(entry, "inverse_", where("relation." + name), {"{s}"});
  }
  questions.two_hops = read_phrases(table("two_hops"), "", where("two_hops"), {"{s}", "{a}", "{b}"});
  questions.generic = read_phrases(table("generic"), "", where("generic"), {"{s}", "{r}"});
  questions.follow_up = read_phrases(table("follow_up"), "", where("follow_up"), {"{r}"});
  questions.unknown = read_lists<UnknownRelation>(table("unknown"), "", where("unknown"), [](const Json& entry, const std::string& list) {
    SH_CHECK(entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string(), kBadInput,
             "{}: {} is no pair of a name and a phrasing", list, entry.dump());
    check_slots(entry[1], {"{s}"}, list);
    return UnknownRelation(entry[0], entry[1]);
  });
  return questions;
}

}  // namespace shenhong
