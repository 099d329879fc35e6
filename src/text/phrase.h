// Sentences with choices and slots, from which requests and answers are made:
//   [请|帮我|]写一首{form}[。|吧！]  ->  帮我写一首七绝吧！
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/dice.h"

namespace shenhong {

using Slots = std::map<std::string, std::string, std::less<>>;

class Phrase {
 public:
  // Choices may stand inside choices. Error(kBadInput) names `where` and the bracket that has no
  // partner, or a slot without a name.
  Phrase(std::string text, const std::string& where);

  const std::string& text() const { return text_; }
  const std::set<std::string, std::less<>>& slots() const { return slots_; }

  // Every slot must be given; what is filled in is taken as it is, brackets too.
  std::string say(const Slots& slots, Dice& dice) const;

 private:
  void say(std::string_view text, const Slots& slots, Dice& dice, std::string& out) const;

  std::string text_;
  std::set<std::string, std::less<>> slots_;
};

}  // namespace shenhong
