// Names of the control tokens, in the order of their ids in a tokenizer that we train.
// The first five are DeepSeek-V3's; system text has no token of its own and follows the first.
#pragma once

#include <array>
#include <string_view>

namespace shenhong {

inline constexpr std::string_view kBos = "<｜begin▁of▁sentence｜>";
inline constexpr std::string_view kEos = "<｜end▁of▁sentence｜>";
inline constexpr std::string_view kPad = "<｜▁pad▁｜>";
inline constexpr std::string_view kUser = "<｜User｜>";
inline constexpr std::string_view kAssistant = "<｜Assistant｜>";

// A native look-up asks before it speaks, <kg_e>姚明<kg_r>妻子<kg_end>, and then says
// 姚明的妻子是<kg_v>叶莉<kg_end>. The runtime writes the value up to its <kg_end>, or, right after
// the question, <kg_null> when the graph is silent. <kg_inv> is kept so that ids stay: a label
// says by itself which way a relation is walked.
inline constexpr std::string_view kKgEntity = "<kg_e>";
inline constexpr std::string_view kKgRelation = "<kg_r>";
inline constexpr std::string_view kKgValue = "<kg_v>";
inline constexpr std::string_view kKgEnd = "<kg_end>";
inline constexpr std::string_view kKgNull = "<kg_null>";
inline constexpr std::string_view kKgInverse = "<kg_inv>";

inline constexpr auto kLookUpTokens = std::to_array<std::string_view>(
    {kKgEntity, kKgRelation, kKgValue, kKgEnd, kKgNull, kKgInverse});

// The reserved ones can get a meaning later without changing the id of any token.
inline constexpr auto kSpecialTokens = std::to_array<std::string_view>({kBos,
                                                                        kEos,
                                                                        kPad,
                                                                        kUser,
                                                                        kAssistant,
                                                                        kKgEntity,
                                                                        kKgRelation,
                                                                        kKgValue,
                                                                        kKgEnd,
                                                                        kKgNull,
                                                                        kKgInverse,
                                                                        "<｜reserved▁0｜>",
                                                                        "<｜reserved▁1｜>",
                                                                        "<｜reserved▁2｜>",
                                                                        "<｜reserved▁3｜>",
                                                                        "<｜reserved▁4｜>",
                                                                        "<｜reserved▁5｜>",
                                                                        "<｜reserved▁6｜>",
                                                                        "<｜reserved▁7｜>",
                                                                        "<｜reserved▁8｜>",
                                                                        "<｜reserved▁9｜>",
                                                                        "<｜reserved▁10｜>",
                                                                        "<｜reserved▁11｜>",
                                                                        "<｜reserved▁12｜>",
                                                                        "<｜reserved▁13｜>",
                                                                        "<｜reserved▁14｜>",
                                                                        "<｜reserved▁15｜>"});

}  // namespace shenhong
