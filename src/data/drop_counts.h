// Why documents are dropped, and how many were.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

namespace shenhong {

struct DropCounts {
  int64_t empty = 0, too_short = 0, too_long = 0, unwanted = 0, garbage = 0, few_han = 0;
  int64_t repeated_lines = 0, exact_copy = 0, near_copy = 0;

  template <class Visit>
  void fields(Visit&& v);
  DropCounts& operator+=(const DropCounts& other);
  int64_t sum() const;
};

using DropReason = int64_t DropCounts::*;

inline constexpr std::array<std::pair<const char*, DropReason>, 9> kDropReasons = {{
    {"empty", &DropCounts::empty},
    {"too_short", &DropCounts::too_short},
    {"too_long", &DropCounts::too_long},
    {"unwanted", &DropCounts::unwanted},
    {"garbage", &DropCounts::garbage},
    {"few_han", &DropCounts::few_han},
    {"repeated_lines", &DropCounts::repeated_lines},
    {"exact_copy", &DropCounts::exact_copy},
    {"near_copy", &DropCounts::near_copy},
}};

template <class Visit>
void DropCounts::fields(Visit&& v) {
  for (const auto& [name, reason] : kDropReasons) v(name, this->*reason, "");
}

inline DropCounts& DropCounts::operator+=(const DropCounts& other) {
  for (const auto& [name, reason] : kDropReasons) this->*reason += other.*reason;
  return *this;
}

inline int64_t DropCounts::sum() const {
  int64_t all = 0;
  for (const auto& [name, reason] : kDropReasons) all += this->*reason;
  return all;
}

}  // namespace shenhong
