#include "data/clean.h"

#include <utf8proc.h>

#include <unordered_set>

#include "data/poem.h"
#include "text/normalize.h"
#include "text/simplify.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

constexpr double kMaxGarbageShare = 0.002;

bool is_wide_space(char32_t c) {
  return c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_line_end(char32_t c) { return c == '\n' || c == 0x85 || c == 0x2028 || c == 0x2029; }

// Control characters, and the format characters that only steer a display.
bool is_invisible(char32_t c) {
  if (c == '\t') return false;
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xAD || (c >= 0x200B && c <= 0x200F) ||
         (c >= 0x202A && c <= 0x202E) || (c >= 0x2060 && c <= 0x2064) || c == 0xFEFF;
}

std::string clean_layout(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  int line_ends = 2;        // in a row; 2 at the start, so that nothing empty leads
  bool wide_space = false;  // seen, not yet written
  size_t last_visible = 0;  // out.size() after the last character that is no space
  for_each_character(text, [&](char32_t c) {
    if (is_line_end(c)) {
      out.resize(last_visible);
      if (line_ends < 2) out += '\n';
      ++line_ends;
      last_visible = out.size();
      wide_space = false;
    } else if (is_wide_space(c)) {
      wide_space = true;
    } else if (!is_invisible(c)) {
      const bool blank = c == ' ' || c == '\t';
      if (wide_space && !blank && line_ends == 0 && out.size() == last_visible) out += ' ';
      if (!blank) wide_space = false;
      append_utf8(out, c);
      if (!blank) {
        last_visible = out.size();
        line_ends = 0;
      }
    }
  });
  out.resize(last_visible);
  while (out.ends_with('\n')) out.pop_back();
  return out;
}

void clean_strings(Json& json, const SourceConfig& source) {
  if (json.is_string()) {
    json = clean_text(json.get_ref<const std::string&>(), source);
  } else if (json.is_structured()) {
    for (Json& item : json) clean_strings(item, source);
  }
}

bool is_letter(char32_t c) {
  const utf8proc_category_t category = utf8proc_category(utf8proc_int32_t(c));
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
         (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

double repeated_lines(std::string_view text) {
  std::unordered_set<std::string_view> seen;
  int64_t lines = 0, repeated = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    at = end + 1;
    if (line.empty()) continue;
    ++lines;
    repeated += !seen.insert(line).second;
  }
  return lines > 0 ? double(repeated) / double(lines) : 0;
}

void name_form_and_rhyme(std::string& text) {
  const size_t heading = text.find('\n');
  if (!text.starts_with("《") || heading == text.npos) return;
  const std::string note =
      form_and_rhyme(parse_poem(std::string_view(text).substr(heading + 1)).lines);
  if (note.empty()) return;
  const bool after_title = std::string_view(text).substr(0, heading).ends_with("》");
  text.insert(heading, (after_title ? "" : "·") + note);
}

}  // namespace

std::string clean_text(std::string_view text, const SourceConfig& source) {
  std::string out = clean_layout(nfc(text));
  if (source.half_width) out = to_half_width(out, true);
  if (source.simplify) out = simplified(out);
  return out;
}

void clean_document(Document& document, const SourceConfig& source) {
  document.text = clean_text(document.text, source);
  clean_strings(document.meta, source);
  if (document.meta.value("kind", "") == "诗") name_form_and_rhyme(document.text);
}

DropReason reason_to_drop(const Document& document, const SourceConfig& source) {
  const TextCounts counts = count_text(document.text);
  if (counts.characters == 0) return &DropCounts::empty;
  if (counts.characters < source.min_chars) return &DropCounts::too_short;
  if (source.max_chars > 0 && counts.characters > source.max_chars) return &DropCounts::too_long;
  for (const std::string& text : source.unwanted)
    if (document.text.find(text) != std::string::npos) return &DropCounts::unwanted;
  if (double(counts.garbage) > kMaxGarbageShare * double(counts.characters))
    return &DropCounts::garbage;
  if (double(counts.han) < source.min_han_share * double(counts.letters))
    return &DropCounts::few_han;
  if (source.max_repeated_lines < 1 && repeated_lines(document.text) > source.max_repeated_lines)
    return &DropCounts::repeated_lines;
  return nullptr;
}

TextCounts count_text(std::string_view text) {
  TextCounts counts;
  for_each_character(text, [&](char32_t c) {
    if (c == ' ' || c == '\n' || c == '\t') return;
    ++counts.characters;
    if (is_han(c)) {
      ++counts.han;
      ++counts.letters;
    } else if (is_letter(c)) {
      ++counts.letters;
    }
    counts.garbage +=
        c == kReplacement || utf8proc_category(utf8proc_int32_t(c)) == UTF8PROC_CATEGORY_CO;
  });
  return counts;
}

std::u32string letters_of(std::string_view text) {
  std::u32string letters;
  letters.reserve(text.size() / 3);
  for_each_character(text, [&](char32_t c) {
    if (is_han(c)) {
      letters += c;
    } else if (is_letter(c)) {
      letters += char32_t(utf8proc_tolower(utf8proc_int32_t(c)));
    }
  });
  return letters;
}

}  // namespace shenhong
