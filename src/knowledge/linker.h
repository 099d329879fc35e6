// Which entities a text names. Names are matched exactly under one spelling (knowledge/names);
// which of several bearers of a name is meant is for the asked relation to say, else for their
// weight.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "knowledge/names.h"
#include "knowledge/store.h"

namespace shenhong {

struct Candidate {
  TermId entity = 0;
  double weight = 0;  // log(1 + facts about it); a label counts more than an alias
};

struct Mention {
  size_t begin = 0, end = 0;          // characters of the folded text
  std::string name;                   // as the text spells it
  std::vector<Candidate> candidates;  // the heaviest first; several bear the same name
};

class Linker {
 public:
  // Reads all names of the graph, and how often each entity is a subject: seconds per million
  // facts.
  explicit Linker(Store& store);

  // Mentions that do not overlap, from left to right: the longest first, then the leftmost. A
  // Chinese name of one character counts only when it is all of the text.
  std::vector<Mention> link(const FoldedText& folded, std::string_view text) const;
  // The same with those that lie inside longer ones or across them: for a question whose longest
  // name leads nowhere.
  std::vector<Mention> link_all(const FoldedText& folded, std::string_view text) const;

  // The entities of exactly this name, the heaviest first.
  std::vector<Candidate> bearers(std::string_view name) const;

 private:
  struct Named {
    TermId entity;
    float weight;
  };
  void add_candidate(std::vector<Candidate>& candidates, int name) const;

  std::vector<Named> named_;  // what an id of the index stands for
  NameIndex index_;
};

}  // namespace shenhong
