#include "knowledge/relations.h"

#include "core/error.h"
#include "knowledge/vocabulary.h"
#include "text/utf8.h"

namespace shenhong {

Language language_of(std::string_view text) {
  bool chinese = false;
  for_each_character(text, [&](char32_t c) { chinese |= is_han(c); });
  return chinese ? Language::kChinese : Language::kEnglish;
}

std::string_view language_tag(Language language) {
  return language == Language::kChinese ? "zh" : "en";
}

std::string_view Relation::label(Language language, bool inverse) const {
  const std::string& chinese = inverse ? inverse_label_zh : label_zh;
  const std::string& english = inverse ? inverse_label_en : label_en;
  const std::string& wanted = language == Language::kChinese ? chinese : english;
  if (!wanted.empty()) return wanted;
  const std::string& other = language == Language::kChinese ? english : chinese;
  if (!other.empty()) return other;
  return std::string_view(iri).substr(iri.find_last_of("/#:") + 1);
}

Relations::Relations(Store& store) {
  const TermId label = store.find(Term::iri(std::string(iri::kLabel)));
  const auto relation = [&](TermId id) -> Relation& {
    const auto [entry, fresh] = by_id_.try_emplace(id, int(relations_.size()));
    if (fresh) {
      Relation& added = relations_.emplace_back();
      added.id = id;
      added.iri = store.term(id).value;
    }
    return relations_[size_t(entry->second)];
  };
  const auto each = [&](std::string_view iri, auto&& use) {
    const TermId predicate = store.find(Term::iri(std::string(iri)));
    if (predicate == 0) return;
    store.for_each_fact_of(predicate, [&](TermId s, TermId o) { use(s, store.term(o)); });
  };
  const auto name = [](const Term& term, std::string& chinese, std::string& english) {
    (term.language.starts_with("zh") ? chinese : english) = term.value;
  };

  each(iri::kQuestion, [&](TermId s, const Term& o) { relation(s).question = o.value; });
  for (size_t i = 0; i < relations_.size(); ++i) {
    Relation& r = relations_[i];
    for (const Fact& fact : store.facts(r.id, label))
      name(store.term(fact.object), r.label_zh, r.label_en);
    for (const std::string& words : {r.label_zh, r.label_en}) add_cue(words, int(i), false, false);
  }
  each(iri::kInverseLabel, [&](TermId s, const Term& o) {
    Relation& r = relation(s);
    name(o, r.inverse_label_zh, r.inverse_label_en);
    add_cue(o.value, by_id_[s], true, false);
  });
  each(iri::kCue,
       [&](TermId s, const Term& o) { relation(s), add_cue(o.value, by_id_[s], false, false); });
  each(iri::kWeakCue,
       [&](TermId s, const Term& o) { relation(s), add_cue(o.value, by_id_[s], false, true); });
  each(iri::kInverseCue,
       [&](TermId s, const Term& o) { relation(s), add_cue(o.value, by_id_[s], true, false); });
  const TermId type = store.find(Term::iri(std::string(iri::kType)));
  for (const Fact& fact :
       store.facts_to(store.find(Term::iri(std::string(iri::kFunctional))), type)) {
    const auto known = by_id_.find(fact.subject);
    if (known != by_id_.end()) relations_[size_t(known->second)].functional = true;
  }
  index_.build();
}

void Relations::add_cue(std::string_view words, int relation, bool inverse, bool weak) {
  index_.add(words, int(cues_.size()));
  cues_.push_back({{relations_[size_t(relation)].id, inverse}, weak});
}

const Relation* Relations::find(TermId id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &relations_[size_t(found->second)];
}

std::vector<CueMatch> Relations::cues(const FoldedText& question) const {
  std::vector<CueMatch> matches;
  for (const NameMatch& match : index_.scan(question)) {
    const Cue& cue = cues_[size_t(match.name)];
    matches.push_back({match.begin, match.end, cue.direction, cue.weak});
  }
  return matches;
}

}  // namespace shenhong
