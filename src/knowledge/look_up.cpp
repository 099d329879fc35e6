#include "knowledge/look_up.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "knowledge/vocabulary.h"

namespace shenhong {
namespace {

std::string year_text(long long year, Language language) {
  if (language == Language::kChinese)
    return year < 0 ? fmt::format("公元前{}年", -year) : fmt::format("{}年", year);
  return year < 0 ? fmt::format("{} BC", -year) : fmt::format("{}", year);
}

}  // namespace

// Validity is written as years or dates, with a sign before Christ; the year decides, then the
// text.
bool holds_at(const Fact& fact, const std::string& as_of) {
  if (as_of.empty()) return true;
  const auto before = [](const std::string& a, const std::string& b) {
    const long long x = std::atoll(a.c_str()), y = std::atoll(b.c_str());
    return x != y ? x < y : a < b && a.size() == b.size();
  };
  return (fact.valid_from.empty() || !before(as_of, fact.valid_from)) &&
         (fact.valid_to.empty() || !before(fact.valid_to, as_of));
}

std::vector<Fact> LookUp::stated(TermId entity, Direction direction) {
  return direction.inverse ? store_.facts_to(entity, direction.relation)
                           : store_.facts(entity, direction.relation);
}

std::vector<Value> LookUp::values(TermId entity, Direction direction, Language language,
                                  const std::string& as_of) {
  std::vector<Fact> facts = stated(entity, direction);
  if (facts.empty() && remote_ && remote_->fetch(entity, direction))
    facts = stated(entity, direction);
  std::erase_if(facts, [&](const Fact& fact) { return !holds_at(fact, as_of); });
  std::ranges::stable_sort(facts, [&](const Fact& a, const Fact& b) {
    const double trust_a = store_.source(a.source).trust, trust_b = store_.source(b.source).trust;
    return trust_a != trust_b ? trust_a > trust_b : a.confidence > b.confidence;
  });
  const Relation* relation = relations_.find(direction.relation);
  if (relation && relation->functional && !direction.inverse && !facts.empty()) {
    const double trust = store_.source(facts[0].source).trust;
    std::erase_if(facts,
                  [&](const Fact& fact) { return store_.source(fact.source).trust < trust; });
  }
  return in_words(facts, direction.inverse, language);
}

std::vector<Value> LookUp::in_words(const std::vector<Fact>& facts, bool inverse,
                                    Language language) {
  bool own_language = false;
  const auto tag = [&](const Fact& fact) {
    return inverse ? std::string() : store_.term(fact.object).language;
  };
  for (const Fact& fact : facts) own_language |= tag(fact).starts_with(language_tag(language));
  std::vector<Value> values;
  std::set<std::string> seen;
  for (const Fact& fact : facts) {
    const std::string of = tag(fact);
    if (own_language && !of.empty() && !of.starts_with(language_tag(language))) continue;
    std::string text = inverse ? name_of(fact.subject, language) : object_text(fact, language);
    // A sentence that ends inside ours.
    while (text.ends_with("。")) text.resize(text.size() - std::string_view("。").size());
    if (seen.insert(text).second) values.push_back({std::move(text), fact});
  }
  return values;
}

bool LookUp::disagree(Direction direction, const std::vector<Value>& values) const {
  const Relation* relation = relations_.find(direction.relation);
  return relation && relation->functional && !direction.inverse && values.size() > 1;
}

std::string LookUp::name_of(TermId id, Language language) {
  const Term term = store_.term(id);
  if (term.is_literal()) return term.value;
  std::string any;
  for (const std::string_view iri : iri::kNames) {
    const TermId predicate = store_.find(Term::iri(std::string(iri)));
    if (predicate == 0) continue;
    for (const Fact& fact : store_.facts(id, predicate)) {
      const Term name = store_.term(fact.object);
      if (name.language.starts_with(language_tag(language))) return name.value;
      if (any.empty()) any = name.value;
    }
  }
  return any.empty() ? term.value.substr(term.value.find_last_of("/#:") + 1) : any;
}

std::string LookUp::object_text(const Fact& fact, Language language) {
  const Term object = store_.term(fact.object);
  const Relation* relation = relations_.find(fact.predicate);
  const auto number = object.as_integer();
  if (number && relation && relation->question == "何时") return year_text(*number, language);
  return object.is_literal() ? object.value : name_of(fact.object, language);
}

}  // namespace shenhong
