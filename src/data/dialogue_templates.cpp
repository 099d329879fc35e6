#include "data/dialogue_templates.h"

#include <algorithm>

#include "core/error.h"
#include "formats/toml.h"

namespace shenhong {
namespace {

const Json& child(const Json& json, const std::string& name, const std::string& where) {
  const auto found = json.find(name);
  SH_CHECK(found != json.end(), kBadInput, "{}: [{}] is missing", where, name);
  return *found;
}

std::vector<std::string> strings(const Json& json, const std::string& name,
                                 const std::string& where, bool required = true) {
  const auto found = json.find(name);
  if (found == json.end() && !required) return {};
  SH_CHECK(found != json.end() && found->is_array() && !found->empty(), kBadInput,
           "{}: want a list of strings under '{}'", where, name);
  std::vector<std::string> list;
  for (const Json& item : *found) {
    SH_CHECK(item.is_string() && !item.get_ref<const std::string&>().empty(), kBadInput,
             "{}: '{}' holds something that is no string, or an empty one", where, name);
    list.push_back(item.get<std::string>());
  }
  return list;
}

using SlotNames = std::set<std::string, std::less<>>;

// Sentences under `name`, each with exactly these slots (with `some`: with no others than these).
std::vector<Phrase> phrases(const Json& json, const std::string& name, const SlotNames& slots,
                            const std::string& where, bool required, bool some) {
  std::vector<Phrase> list;
  for (const std::string& text : strings(json, name, where, required)) {
    list.emplace_back(text, where);
    const SlotNames& used = list.back().slots();
    const bool fits = some ? std::ranges::includes(slots, used) : slots == used;
    SH_CHECK(fits, kBadInput, "{}: '{}': want {}the slots {}", where, text,
             some ? "no others than " : "", dump_json(Json(slots)));
  }
  return list;
}

Exchange read_exchange(const Json& json, const SlotNames& slots, const SlotNames& answer_slots,
                       bool some, const std::string& where) {
  const bool answers = json.contains("answer"), english = json.contains("english");
  Exchange exchange;
  exchange.ask = phrases(json, "ask", slots, where, true, some);
  exchange.english = phrases(json, "english", slots, where, false, some);
  exchange.answer = phrases(json, "answer", answer_slots, where, answers, some);
  exchange.answer_english =
      phrases(json, "answer_english", answer_slots, where, answers && english, some);
  return exchange;
}

SlotNames slot_names(const Json& json, const char* name) {
  SlotNames names;
  if (const auto found = json.find(name); found != json.end() && found->is_array()) {
    for (const Json& item : *found) {
      if (item.is_string()) names.insert(item.get<std::string>());
    }
  }
  return names;
}

}  // namespace

DialogueTemplates::DialogueTemplates(const Json& json, const std::string& where) {
  const Json& chinese = child(json, "forms", where);
  const Json& english = child(json, "forms_english", where);
  for (const FormShape& shape : kRegulatedForms) {
    const std::string name(shape.name);
    forms_.push_back({shape.form, strings(chinese, name, where + ": [forms]"),
                      strings(english, name, where + ": [forms_english]")});
  }
  for (const auto& [name, translation] : child(json, "poets", where).items()) {
    SH_CHECK(translation.is_string(), kBadInput, "{}: [poets]: {}: want an English name", where,
             name);
    poets_[name] = translation.get<std::string>();
  }
  famous_sources_ = strings(json, "famous_sources", where);
  const Json& famous = child(json, "famous", where);
  for (const auto& [author, ignored] : famous.items()) {
    famous_[author] = strings(famous, author, where + ": [famous]");
  }
  for (const Json& topic : child(json, "topics", where)) {
    const std::string place = where + ": [[topics]]";
    topics_.push_back({strings(topic, "names", place), topic.value("english", ""),
                       strings(topic, "words", place)});
  }
  for (const std::string_view section : kExchangeSections) {
    const std::string name(section), place = where + ": [" + name + "]";
    const Json& exchange = child(json, name, where);
    exchanges_[name] = read_exchange(exchange, slot_names(exchange, "slots"),
                                     slot_names(exchange, "answer_slots"), false, place);
  }
  for (const Json& exchange : child(json, "talk", where)) {
    talk_.push_back(read_exchange(exchange, {"number"}, {}, true, where + ": [[talk]]"));
    SH_CHECK(!talk_.back().answer.empty(), kBadInput, "{}: [[talk]]: '{}' has no answer", where,
             talk_.back().ask[0].text());
  }
}

DialogueTemplates DialogueTemplates::read(const fs::path& path) {
  return DialogueTemplates(read_toml(path), path.string());
}

const Exchange& DialogueTemplates::exchange(std::string_view section) const {
  const auto found = exchanges_.find(section);
  SH_ASSERT(found != exchanges_.end());
  return found->second;
}

bool DialogueTemplates::is_famous(const std::string& source, const std::string& author,
                                  const std::string& title) const {
  if (std::ranges::count(famous_sources_, source) > 0) return true;
  const auto titles = famous_.find(author);
  return titles != famous_.end() && std::ranges::count(titles->second, title) > 0;
}

const FormWords& DialogueTemplates::form(PoemForm form) const {
  for (const FormWords& words : forms_) {
    if (words.form == form) return words;
  }
  throw Bug("no words for a form that is not regulated");
}

}  // namespace shenhong
