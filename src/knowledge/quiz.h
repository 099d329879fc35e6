// Questions about a graph whose answers the graph tells: to train look-up, and to measure it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/dice.h"
#include "knowledge/linker.h"
#include "knowledge/look_up.h"
#include "knowledge/questions.h"
#include "knowledge/world.h"

namespace shenhong {

enum class QuestionKind {
  kOneHop,
  kInverse,
  kTwoHops,
  kMissingFact,      // the entity is known and could have it, but the graph is silent
  kUnknownRelation,  // nobody's graph states such a thing
  kUnknownEntity,
  kFalsePremise,  // a river's father
};
inline constexpr int kQuestionKinds = 7;
std::string_view question_kind_name(QuestionKind kind);
inline bool is_answerable(QuestionKind kind) { return kind <= QuestionKind::kTwoHops; }

// One look-up: the label of a relation, of an entity; empty values: the graph is silent.
struct Hop {
  std::string entity, label;  // as the question names it, and in its language
  bool inverse = false;
  std::vector<std::string> values;
};

struct QuizQuestion {
  QuestionKind kind = QuestionKind::kOneHop;
  Language language = Language::kChinese;
  std::string text;
  std::vector<Hop> hops;    // the last one's values answer
  std::vector<Fact> facts;  // the facts behind the last hop's values
};

class Quiz {
 public:
  // Reads the whole graph. Only names with one bearer are asked for, and only relations that
  // `questions` can phrase.
  Quiz(Store& store, const Linker& linker, const Relations& relations, const Questions& questions);

  // Nothing when the graph holds nothing to ask of this kind. `split` says which phrasings are
  // used.
  std::optional<QuizQuestion> ask(QuestionKind kind, Language language, Split split, Dice& dice);
  // Of a named entity, forward: for texts that go on about something.
  std::optional<QuizQuestion> ask_about(TermId entity, Language language, Split split, Dice& dice);

  // The name by which an entity is asked for; empty: it has none that is its own.
  std::string own_name(TermId entity, Language language) const;

 private:
  struct Key {
    TermId entity;
    Direction direction;
  };
  std::optional<QuizQuestion> one_hop(const Key& key, Language language, Split split, Dice& dice);
  std::optional<QuizQuestion> two_hops(Language language, Split split, Dice& dice);
  std::optional<QuizQuestion> silent(QuestionKind kind, Language language, Split split, Dice& dice);
  std::optional<Hop> hop_of(const Key& key, Language language, std::vector<Fact>* facts = nullptr);
  std::string phrase(Direction direction, Language language, Split split, const std::string& name,
                     Dice& dice) const;
  const Phrasings* phrasings(TermId relation) const;

  Store& store_;
  const Linker& linker_;
  const Relations& relations_;
  const Questions& questions_;
  mutable LookUp look_up_;
  std::vector<std::vector<Key>> forward_, inverse_;  // by relation, what the graph states
};

}  // namespace shenhong
