// What the graph says of one relation of one entity, put into words. The one place where facts are
// chosen: by validity, trust and language.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "knowledge/relations.h"
#include "knowledge/remote.h"
#include "knowledge/store.h"

namespace shenhong {

struct Value {
  std::string text;  // as an answer says it: a name, a text without its full stop, 公元前221年
  Fact fact;
};

// Whether a fact holds at a date or year; at any, when `as_of` is empty.
bool holds_at(const Fact& fact, const std::string& as_of);

class LookUp {
 public:
  // `remote`, if not null, is asked where the graph is silent.
  LookUp(Store& store, const Relations& relations, RemoteFacts* remote = nullptr)
      : store_(store), relations_(relations), remote_(remote) {}

  // The most trusted first, each text once. Of texts in several languages those in `language`, if
  // there are any. Of a functional relation only what the most trusted sources say: more than one
  // value means that these disagree. Empty: the graph is silent.
  std::vector<Value> values(TermId entity, Direction direction, Language language,
                            const std::string& as_of = {});
  // The same of facts that are at hand.
  std::vector<Value> in_words(const std::vector<Fact>& facts, bool inverse, Language language);
  bool disagree(Direction direction, const std::vector<Value>& values) const;

  // The name of an entity, or a literal's text, in this language where there is one.
  std::string name_of(TermId id, Language language);
  // The same of a fact's object, years as years: 公元前221年, 221 BC.
  std::string object_text(const Fact& fact, Language language);

 private:
  std::vector<Fact> stated(TermId entity, Direction direction);

  Store& store_;
  const Relations& relations_;
  RemoteFacts* remote_;
};

}  // namespace shenhong
