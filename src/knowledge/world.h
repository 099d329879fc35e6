// A world that nobody has read of: invented people, realms, places, works, with the relations of
// the starter graph (knowledge/relations.ttl), in Chinese and English. What a model says of it, it
// has looked up; so it trains and measures look-up, and nothing else.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/dice.h"
#include "knowledge/relations.h"
#include "knowledge/store.h"

namespace shenhong {

enum class EntityKind {
  kPerson,
  kRealm,
  kCity,
  kMountain,
  kRiver,
  kLake,
  kBuilding,
  kWork,
  kInvention,
  kBattle
};
inline constexpr int kEntityKinds = 10;

struct WorldConfig {
  uint64_t seed = 1;
  int64_t people =
      1500;  // the other kinds in proportion; about 25 facts per person in all, names counted
  double known_share = 0.85;  // of what could be said of an entity, so that there are gaps to admit
};

// Adds the world's facts to the batch; names are unique within a world. The same seed, the same
// world.
void build_world(const WorldConfig& config, Store::Batch& batch);

// A name of this kind in both languages, drawn from some 10^5 and more.
struct InventedName {
  std::string chinese, english;
};
InventedName invent_name(EntityKind kind, Dice& dice);

// The relations that build_world may state of a kind of entity.
std::vector<std::string> relations_of_kind(EntityKind kind);

}  // namespace shenhong
