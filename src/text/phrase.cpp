#include "text/phrase.h"

namespace shenhong {
namespace {

constexpr int kDeepest = 8;  // choices inside choices

// The index after the ']' that belongs to the '[' at `open`; the text is known to be balanced.
size_t after_choice(std::string_view text, size_t open) {
  int depth = 0;
  for (size_t at = open;; ++at) {
    depth += text[at] == '[' ? 1 : text[at] == ']' ? -1 : 0;
    if (depth == 0) return at + 1;
  }
}

// The alternatives between the brackets of a choice.
std::vector<std::string_view> alternatives(std::string_view inside) {
  std::vector<std::string_view> parts;
  int depth = 0;
  size_t start = 0;
  for (size_t at = 0; at <= inside.size(); ++at) {
    if (at == inside.size() || (inside[at] == '|' && depth == 0)) {
      parts.push_back(inside.substr(start, at - start));
      start = at + 1;
    } else {
      depth += inside[at] == '[' ? 1 : inside[at] == ']' ? -1 : 0;
    }
  }
  return parts;
}

}  // namespace

Phrase::Phrase(std::string text, const std::string& where) : text_(std::move(text)) {
  int depth = 0;
  for (size_t at = 0; at < text_.size(); ++at) {
    if (text_[at] == '[') ++depth;
    if (text_[at] == ']') --depth;
    SH_CHECK(depth >= 0 && depth <= kDeepest, kBadInput,
             "{}: '{}': ']' without '[', or more than {} choices "
             "inside each other",
             where, text_, kDeepest);
    SH_CHECK(text_[at] != '}', kBadInput, "{}: '{}': '}}' without '{{'", where, text_);
    if (text_[at] != '{') continue;
    const size_t close = text_.find_first_of("{}[]|", at + 1);
    SH_CHECK(close != std::string::npos && text_[close] == '}' && close > at + 1, kBadInput,
             "{}: '{}': want a slot such as {{form}}", where, text_);
    slots_.insert(text_.substr(at + 1, close - at - 1));
    at = close;
  }
  SH_CHECK(depth == 0, kBadInput, "{}: '{}': '[' without ']'", where, text_);
}

std::string Phrase::say(const Slots& slots, Dice& dice) const {
  std::string out;
  say(text_, slots, dice, out);
  return out;
}

void Phrase::say(std::string_view text, const Slots& slots, Dice& dice, std::string& out) const {
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '[') {
      const size_t end = after_choice(text, at);
      say(dice.pick(alternatives(text.substr(at + 1, end - at - 2))), slots, dice, out);
      at = end;
    } else if (text[at] == '{') {
      const size_t close = text.find('}', at);
      const auto slot = slots.find(text.substr(at + 1, close - at - 1));
      SH_ASSERT(slot != slots.end());
      out += slot->second;
      at = close + 1;
    } else {
      out += text[at++];
    }
  }
}

}  // namespace shenhong
