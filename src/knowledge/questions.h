// How people ask for each relation: knowledge/questions.toml, sentences with choices
// (text/phrase.h). What a model learns from and what it is tested on are kept apart.
#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "knowledge/relations.h"
#include "text/phrase.h"

namespace shenhong {

enum class Split { kTrain, kTest };

// By split and language.
template <class T>
struct BySplit {
  std::array<std::array<std::vector<T>, 2>, 2> lists;
  std::vector<T>& of(Split split, Language language) {
    return lists[size_t(split)][size_t(language)];
  }
  const std::vector<T>& of(Split split, Language language) const {
    return lists[size_t(split)][size_t(language)];
  }
};

struct Phrasings {
  BySplit<Phrase> forward,
      inverse;  // {s} stands for the name; inverse: none where nobody asks back
};

// A thing that no graph states: its name, and how it is asked for.
using UnknownRelation = std::pair<std::string, Phrase>;

struct Questions {
  std::map<std::string, Phrasings, std::less<>> relations;  // by the IRI's end: born
  BySplit<UnknownRelation> unknown;
  BySplit<Phrase> two_hops;   // {s}, {a}, then {b} of what it gave
  BySplit<Phrase> generic;    // {s}, {r}
  BySplit<Phrase> follow_up;  // {r}; of whom the turn before was about
  BySplit<Phrase> asides;     // {q}: what people say around a question

  // Error(kBadInput) names the table and the entry that is missing or lacks a slot.
  static Questions read(const fs::path& path);
};

}  // namespace shenhong
