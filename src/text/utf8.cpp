#include "text/utf8.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace shenhong {
namespace {

bool in(uint8_t byte, uint8_t low, uint8_t high) { return byte >= low && byte <= high; }

// Table 3-7 of the Unicode standard: how many bytes a lead byte asks for (0: it is none) and which
// second bytes it allows; every later byte is 80..BF.
struct Lead {
  int bytes;
  uint8_t second_low, second_high;
};

Lead lead_of(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (in(byte, 0xC2, 0xDF)) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};  // no surrogates
  if (in(byte, 0xE1, 0xEF)) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (in(byte, 0xF1, 0xF3)) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

// How many bytes at text[at] fit `lead`, at least 1.
int fitting_bytes(std::string_view text, size_t at, const Lead& lead) {
  int bytes = 1;
  while (bytes < lead.bytes && at + size_t(bytes) < text.size()) {
    const uint8_t next = uint8_t(text[at + size_t(bytes)]);
    if (bytes == 1 ? !in(next, lead.second_low, lead.second_high) : !in(next, 0x80, 0xBF)) break;
    ++bytes;
  }
  return bytes;
}

}  // namespace

CodePoint code_point_at(std::string_view text, size_t at) {
  const uint8_t first = uint8_t(text[at]);
  if (first < 0x80) return {first, 1, true};
  const Lead lead = lead_of(first);
  const int bytes = fitting_bytes(text, at, lead);
  if (bytes != lead.bytes) return {kReplacement, bytes, false};
  char32_t value = first & (0xFFu >> (lead.bytes + 1));
  for (int i = 1; i < bytes; ++i) value = value << 6 | (uint8_t(text[at + size_t(i)]) & 0x3F);
  return {value, bytes, true};
}

bool is_incomplete_character(std::string_view text) {
  if (text.empty()) return false;
  const Lead lead = lead_of(uint8_t(text[0]));
  return int(text.size()) < lead.bytes && fitting_bytes(text, 0, lead) == int(text.size());
}

bool is_valid_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    uint64_t eight;
    if (at + 8 <= text.size() && (std::memcpy(&eight, &text[at], 8), true) &&
        (eight & 0x8080808080808080u) == 0) {
      at += 8;
      continue;
    }
    const CodePoint c = code_point_at(text, at);
    if (!c.valid) return false;
    at += size_t(c.bytes);
  }
  return true;
}

std::string sanitise_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = code_point_at(text, at);
    c.valid ? void(out.append(text.substr(at, size_t(c.bytes)))) : append_utf8(out, kReplacement);
    at += size_t(c.bytes);
  }
  return out;
}

void append_utf8(std::string& text, char32_t c) {
  const auto tail = [&](int shift) { text += char(0x80 | ((c >> shift) & 0x3F)); };
  if (c < 0x80) {
    text += char(c);
  } else if (c < 0x800) {
    text += char(0xC0 | c >> 6), tail(0);
  } else if (c < 0x10000) {
    text += char(0xE0 | c >> 12), tail(6), tail(0);
  } else {
    text += char(0xF0 | c >> 18), tail(12), tail(6), tail(0);
  }
}

size_t count_characters(std::string_view text) {
  size_t count = 0;
  for_each_character(text, [&](char32_t) { ++count; });
  return count;
}

bool is_han(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || c == 0x3007 ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x323AF);
}

bool is_invisible(char32_t character) {
  const utf8proc_category_t category = utf8proc_category(utf8proc_int32_t(character));
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF;
}

}  // namespace shenhong
