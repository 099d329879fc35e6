// Which characters rhyme in classical verse: the 30 level-tone rhymes of 平水韵; oblique and
// entering tones by the wider groups of 词林正韵. setup/rhyme_table.mjs makes the table and tells
// its sources.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace shenhong {

// How reports name the table.
inline constexpr std::string_view kRhymeTable =
    "平水韵 (level tone), 词林正韵 (oblique and entering tones)";

// Bit g is set: the character has a reading in group g. 0: not in the table.
using RhymeSet = uint64_t;

RhymeSet rhymes_of(char32_t character);

int rhyme_group_count();
std::string_view rhyme_name(int group);  // such as 上平一东; group in [0, rhyme_group_count())

// The groups that all characters have in common; empty input has none.
RhymeSet shared_rhymes(const std::vector<char32_t>& characters);

}  // namespace shenhong
