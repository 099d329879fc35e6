// UTF-8, character by character.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace shenhong {

inline constexpr char32_t kReplacement = U'\uFFFD';

struct CodePoint {
  char32_t value;  // kReplacement where the bytes are broken
  int bytes;       // how many this one takes, at least 1
  bool valid;
};

// The character at text[at]; at < text.size(). Of broken bytes it takes the longest beginning of a
// well-formed sequence, else one byte (Unicode 3.9, "maximal subpart"; also the WHATWG decoder and
// Python's errors="replace").
CodePoint code_point_at(std::string_view text, size_t at);

// Whether `text` (at most 3 bytes) could become one character if more bytes followed.
bool is_incomplete_character(std::string_view text);

bool is_valid_utf8(std::string_view text);
// Each broken part becomes one U+FFFD; valid text comes back unchanged.
std::string sanitise_utf8(std::string_view text);
void append_utf8(std::string& text, char32_t code_point);
// Characters, a broken part counting as one.
size_t count_characters(std::string_view text);

// visit(char32_t) for each character, U+FFFD for each broken part.
template <class Visit>
void for_each_character(std::string_view text, Visit&& visit) {
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = code_point_at(text, at);
    visit(c.value);
    at += size_t(c.bytes);
  }
}

// A Chinese character: the ideographs of all extensions, the compatibility block and 〇.
bool is_han(char32_t code_point);

// Control and format characters (Unicode's Cc and Cf): those of direction, joiners, tags.
bool is_invisible(char32_t character);

}  // namespace shenhong
