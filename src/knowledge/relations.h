// The relations of a graph as it describes them itself: names, the words of questions, promises.
// knowledge/relations.ttl tells the vocabulary.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "knowledge/names.h"
#include "knowledge/store.h"

namespace shenhong {

enum class Language { kChinese, kEnglish };

// Chinese when the text holds a Chinese character.
Language language_of(std::string_view text);
std::string_view language_tag(Language language);  // zh, en

// A relation walked one way: O of S, or with `inverse` the S of O.
struct Direction {
  TermId relation = 0;
  bool inverse = false;
  bool operator==(const Direction&) const = default;
};

struct Relation {
  TermId id = 0;
  std::string iri;
  std::string label_zh, label_en, inverse_label_zh, inverse_label_en;
  std::string question;  // 谁, 何处, 何时, 多少, 何物: what O is
  bool functional = false;

  // The relation's name that way, in this language or, for want of it, in the other, or the IRI's
  // end.
  std::string_view label(Language language, bool inverse = false) const;
};

// A place of a question where a relation is asked for.
struct CueMatch {
  size_t begin, end;  // characters of the folded question
  Direction direction;
  bool weak;  // words such as 是谁, who is, that also follow every other relation
};

class Relations {
 public:
  explicit Relations(Store& store);

  const Relation* find(TermId id) const;  // null: the graph uses it without describing it
  size_t size() const { return relations_.size(); }
  const std::vector<Relation>& all() const { return relations_; }
  std::vector<CueMatch> cues(const FoldedText& question) const;

 private:
  void add_cue(std::string_view words, int relation, bool inverse, bool weak);

  std::vector<Relation> relations_;
  std::unordered_map<TermId, int> by_id_;
  struct Cue {
    Direction direction;
    bool weak;
  };
  std::vector<Cue> cues_;
  NameIndex index_;
};

}  // namespace shenhong
