// Which relations could be asked of a thing: what it has, and what those have that are like it. A
// river has a source and a mouth; nothing of the graph has these and a father, so nobody means a
// river's father. Characteristic sets: Neumann and Moerkotte, 2011.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "knowledge/relations.h"
#include "knowledge/store.h"

namespace shenhong {

class CharacteristicSets {
 public:
  // Reads all facts of the described relations, both ways: a second per million facts. A graph of
  // very many relations has none, and everything may be asked.
  CharacteristicSets(Store& store, const Relations& relations);

  // Whether it is stated of the entity, or together with most of what is stated of it. True for
  // an entity or a relation of which nothing was stated at start.
  bool may_have(TermId entity, Direction direction) const;

 private:
  using Set = std::vector<uint16_t>;        // directions, ascending
  int index_of(Direction direction) const;  // -1: not known
  bool together(int a, int b) const { return together_[size_t(a) * directions_ + size_t(b)]; }

  std::unordered_map<TermId, int> relation_index_;
  size_t directions_ = 0;
  std::vector<bool> together_;  // [directions, directions]: some entity has both
  std::vector<Set> sets_;
  std::unordered_map<TermId, int> set_of_;
};

}  // namespace shenhong
