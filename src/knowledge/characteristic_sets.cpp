#include "knowledge/characteristic_sets.h"

#include <algorithm>
#include <map>
#include <utility>

namespace shenhong {
namespace {

constexpr size_t kMaxRelations = 2000;  // together_ is a square of twice as many
// Share of a thing's relations that occur with another one, from which the thing could have that,
// too: one gap in a small graph must not forbid it, nor may a type or a description, which
// everything has, alone allow it.
constexpr double kMostOf = 0.7;

}  // namespace

CharacteristicSets::CharacteristicSets(Store& store, const Relations& relations) {
  if (relations.size() > kMaxRelations) return;
  std::vector<bool> asked_back;  // by relation: the inverse has a name
  for (const Relation& relation : relations.all()) {
    relation_index_.try_emplace(relation.id, int(2 * relation_index_.size()));
    asked_back.push_back(!relation.inverse_label_zh.empty() || !relation.inverse_label_en.empty());
  }
  std::vector<std::pair<TermId, uint16_t>> stated;
  store.for_each_fact([&](TermId subject, TermId predicate, TermId object) {
    const int index = index_of({predicate, false});
    if (index < 0) return;
    stated.emplace_back(subject, uint16_t(index));
    if (asked_back[size_t(index) / 2]) stated.emplace_back(object, uint16_t(index + 1));
  });
  directions_ = 2 * relation_index_.size();
  together_.resize(directions_ * directions_);
  std::ranges::sort(stated);
  const auto repeated = std::ranges::unique(stated);
  stated.erase(repeated.begin(), repeated.end());

  std::map<Set, int> known;
  for (size_t begin = 0, end; begin < stated.size(); begin = end) {
    Set set;
    for (end = begin; end < stated.size() && stated[end].first == stated[begin].first; ++end)
      set.push_back(stated[end].second);
    const auto [at, fresh] = known.try_emplace(std::move(set), int(sets_.size()));
    if (fresh) {
      sets_.push_back(at->first);
      for (const int a : at->first)
        for (const int b : at->first) together_[size_t(a) * directions_ + size_t(b)] = true;
    }
    set_of_[stated[begin].first] = at->second;
  }
}

int CharacteristicSets::index_of(Direction direction) const {
  const auto found = relation_index_.find(direction.relation);
  return found == relation_index_.end() ? -1 : found->second + int(direction.inverse);
}

bool CharacteristicSets::may_have(TermId entity, Direction direction) const {
  const int asked = index_of(direction);
  const auto found = set_of_.find(entity);
  if (asked < 0 || found == set_of_.end() || !together(asked, asked)) return true;
  const Set& set = sets_[size_t(found->second)];
  const auto with = std::ranges::count_if(set, [&](int has) { return together(has, asked); });
  return std::ranges::binary_search(set, asked) || double(with) >= kMostOf * double(set.size());
}

}  // namespace shenhong
