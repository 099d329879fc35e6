#include "data/rhyme.h"

#include <array>
#include <iterator>

#include "core/error.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

struct Group {
  std::string_view name, characters;
};
constexpr Group kGroups[] = {
#include "data/rhyme_table.inc"
};
static_assert(std::size(kGroups) <= 64, "a RhymeSet has one bit per group");

constexpr char32_t kFirst = 0x4E00, kLast = 0x9FFF;  // the block that the table covers
using Index = std::array<RhymeSet, kLast - kFirst + 1>;

Index make_index() {
  Index index{};
  for (size_t group = 0; group < std::size(kGroups); ++group) {
    for_each_character(kGroups[group].characters, [&](char32_t character) {
      SH_ASSERT(character >= kFirst && character <= kLast);
      index[character - kFirst] |= RhymeSet(1) << group;
    });
  }
  return index;
}

}  // namespace

RhymeSet rhymes_of(char32_t character) {
  static const Index index = make_index();
  return character >= kFirst && character <= kLast ? index[character - kFirst] : 0;
}

int rhyme_group_count() { return int(std::size(kGroups)); }

std::string_view rhyme_name(int group) {
  SH_ASSERT(group >= 0 && group < rhyme_group_count());
  return kGroups[group].name;
}

RhymeSet shared_rhymes(const std::vector<char32_t>& characters) {
  if (characters.empty()) return 0;
  RhymeSet shared = ~RhymeSet(0);
  for (const char32_t character : characters) shared &= rhymes_of(character);
  return shared;
}

}  // namespace shenhong
