#include "knowledge/quiz.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

// Longer answers are none to a short question.
constexpr size_t kMaxCharacters = 80, kMaxValues = 8;
constexpr int kAttempts = 40;
constexpr double kGenericShare = 0.2;  // of phrasings that name the relation's label
constexpr double kAsideShare = 0.25;   // of questions that something is said around

std::string_view end_of(std::string_view iri) { return iri.substr(iri.find_last_of("/#:") + 1); }

}  // namespace

std::string_view question_kind_name(QuestionKind kind) {
  constexpr std::string_view kNames[kQuestionKinds] = {
      "one hop",          "inverse",        "two hops",     "missing fact",
      "unknown relation", "unknown entity", "false premise"};
  return kNames[size_t(kind)];
}

Quiz::Quiz(Store& store, const Linker& linker, const Relations& relations,
           const Questions& questions)
    : store_(store),
      linker_(linker),
      relations_(relations),
      questions_(questions),
      look_up_(store, relations) {
  for (const Relation& relation : relations_.all()) {
    const Phrasings* known = phrasings(relation.id);
    if (!known) continue;
    std::set<TermId> subjects, objects;
    store_.for_each_fact_of(relation.id, [&](TermId subject, TermId object) {
      subjects.insert(subject);
      if (known->inverse.of(Split::kTrain, Language::kChinese).empty()) return;
      if (!store_.term(object).is_literal()) objects.insert(object);
    });
    std::vector<Key> forward, inverse;
    for (const TermId subject : subjects) forward.push_back({subject, {relation.id, false}});
    for (const TermId object : objects) inverse.push_back({object, {relation.id, true}});
    if (!forward.empty()) forward_.push_back(std::move(forward));
    if (!inverse.empty()) inverse_.push_back(std::move(inverse));
  }
}

const Phrasings* Quiz::phrasings(TermId id) const {
  const Relation* relation = relations_.find(id);
  if (!relation) return nullptr;
  const auto found = questions_.relations.find(end_of(relation->iri));
  return found == questions_.relations.end() ? nullptr : &found->second;
}

std::string Quiz::own_name(TermId entity, Language language) const {
  const std::string name = look_up_.name_of(entity, language);
  const std::vector<Candidate> bearers = linker_.bearers(name);
  return bearers.size() == 1 && bearers[0].entity == entity && language_of(name) == language ? name
                                                                                             : "";
}

std::string Quiz::phrase(Direction direction, Language language, Split split,
                         const std::string& name, Dice& dice) const {
  const Phrasings* known = phrasings(direction.relation);
  if (dice.chance(kGenericShare)) {
    const std::string label(
        relations_.find(direction.relation)->label(language, direction.inverse));
    return dice.pick(questions_.generic.of(split, language)).say({{"r", label}, {"s", name}}, dice);
  }
  return dice.pick((direction.inverse ? known->inverse : known->forward).of(split, language))
      .say({{"s", name}}, dice);
}

// Nothing when the graph is silent, or says more than an answer holds.
std::optional<Hop> Quiz::hop_of(const Key& key, Language language, std::vector<Fact>* facts) {
  Hop hop{
      own_name(key.entity, language),
      std::string(relations_.find(key.direction.relation)->label(language, key.direction.inverse)),
      key.direction.inverse,
      {}};
  if (hop.entity.empty()) return {};
  size_t characters = 0;
  for (Value& value : look_up_.values(key.entity, key.direction, language)) {
    characters += count_characters(value.text) + 1;
    hop.values.push_back(std::move(value.text));
    if (facts) facts->push_back(value.fact);
  }
  if (hop.values.empty() || hop.values.size() > kMaxValues || characters > kMaxCharacters)
    return {};
  return hop;
}

std::optional<QuizQuestion> Quiz::one_hop(const Key& key, Language language, Split split,
                                          Dice& dice) {
  QuizQuestion question;
  auto hop = hop_of(key, language, &question.facts);
  if (!hop) return {};
  question.kind = key.direction.inverse ? QuestionKind::kInverse : QuestionKind::kOneHop;
  question.language = language;
  question.text = phrase(key.direction, language, split, hop->entity, dice);
  question.hops.push_back(std::move(*hop));
  return question;
}

std::optional<QuizQuestion> Quiz::two_hops(Language language, Split split, Dice& dice) {
  const Key& key = dice.pick(dice.pick(forward_));
  const auto first = hop_of(key, language);
  if (!first || first->values.size() != 1) return {};
  const TermId middle = look_up_.values(key.entity, key.direction, language)[0].fact.object;
  if (store_.term(middle).is_literal() || middle == key.entity) return {};
  std::vector<TermId> relations;
  for (const Fact& fact : store_.facts_about(middle))
    if (phrasings(fact.predicate) &&
        std::ranges::find(relations, fact.predicate) == relations.end())
      relations.push_back(fact.predicate);
  if (relations.empty()) return {};
  QuizQuestion question;
  const auto second = hop_of({middle, {dice.pick(relations), false}}, language, &question.facts);
  if (!second) return {};
  question.kind = QuestionKind::kTwoHops;
  question.language = language;
  question.text = dice.pick(questions_.two_hops.of(split, language))
                      .say({{"a", first->label}, {"b", second->label}, {"s", first->entity}}, dice);
  question.hops = {*first, *second};
  return question;
}

std::optional<QuizQuestion> Quiz::silent(QuestionKind kind, Language language, Split split,
                                         Dice& dice) {
  const auto& stated = dice.pick(forward_);  // the relation that is asked for
  const Direction direction = stated[0].direction;
  QuizQuestion question;
  question.kind = kind;
  question.language = language;
  Hop hop;
  if (kind == QuestionKind::kUnknownEntity) {
    const EntityKind entity_kind = EntityKind(dice.below(kEntityKinds));
    const InventedName name = invent_name(entity_kind, dice);
    hop.entity = language == Language::kChinese ? name.chinese : name.english;
    if (!linker_.bearers(hop.entity).empty()) return {};
    const std::vector<std::string> relations = relations_of_kind(entity_kind);
    const TermId relation =
        store_.find(Term::iri(std::string("urn:shenhong:relation:") + dice.pick(relations)));
    if (!phrasings(relation)) return {};
    hop.label = relations_.find(relation)->label(language);
    question.text = phrase({relation, false}, language, split, hop.entity, dice);
  } else if (kind == QuestionKind::kUnknownRelation) {
    hop.entity = own_name(dice.pick(stated).entity, language);
    const UnknownRelation& unknown = dice.pick(questions_.unknown.of(split, language));
    hop.label = unknown.first;
    question.text = unknown.second.say({{"s", hop.entity}}, dice);
  } else {
    // Somebody who has the first relation, so could have the second when another like them has it.
    const TermId other = dice.pick(stated).entity;
    std::vector<TermId> relations;
    for (const Fact& fact : store_.facts_about(other))
      if (phrasings(fact.predicate)) relations.push_back(fact.predicate);
    const TermId like = dice.pick(stated).entity;
    const TermId stranger = dice.pick(dice.pick(forward_)).entity;
    const bool missing = kind == QuestionKind::kMissingFact;
    const TermId entity = missing ? like : stranger;
    const TermId relation =
        missing ? (relations.empty() ? 0 : dice.pick(relations)) : direction.relation;
    if (relation == 0 || !store_.facts(entity, relation).empty()) return {};
    // A premise is false when no relation of the stranger's is one that those who have this one
    // have.
    if (!missing) {
      for (const Fact& fact : store_.facts_about(stranger))
        for (const Fact& usual : store_.facts_about(other))
          if (phrasings(fact.predicate) && fact.predicate == usual.predicate) return {};
    }
    hop.entity = own_name(entity, language);
    hop.label = relations_.find(relation)->label(language);
    question.text = phrase({relation, false}, language, split, hop.entity, dice);
  }
  if (hop.entity.empty()) return {};
  question.hops.push_back(std::move(hop));
  return question;
}

std::optional<QuizQuestion> Quiz::ask(QuestionKind kind, Language language, Split split,
                                      Dice& dice) {
  const auto& stated = kind == QuestionKind::kInverse ? inverse_ : forward_;
  if (stated.empty()) return {};
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto question = kind == QuestionKind::kTwoHops ? two_hops(language, split, dice)
                    : is_answerable(kind)
                        ? one_hop(dice.pick(dice.pick(stated)), language, split, dice)
                        : silent(kind, language, split, dice);
    if (!question) continue;
    if (dice.chance(kAsideShare))
      question->text =
          dice.pick(questions_.asides.of(split, language)).say({{"q", question->text}}, dice);
    return question;
  }
  return {};
}

std::optional<QuizQuestion> Quiz::ask_about(TermId entity, Language language, Split split,
                                            Dice& dice) {
  std::vector<Key> keys;
  for (const Fact& fact : store_.facts_about(entity)) {
    if (!phrasings(fact.predicate)) continue;
    const auto same = [&](const Key& key) { return key.direction.relation == fact.predicate; };
    if (std::ranges::none_of(keys, same)) keys.push_back({entity, {fact.predicate, false}});
  }
  if (keys.empty()) return {};
  return one_hop(dice.pick(keys), language, split, dice);
}

}  // namespace shenhong
