#include "knowledge/names.h"

#include <utf8proc.h>

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "core/error.h"
#include "text/simplify.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

bool is_word(char32_t c) {
  if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  const auto category = utf8proc_category(utf8proc_int32_t(c));
  const bool letter = category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
  return (letter && !is_han(c)) || category == UTF8PROC_CATEGORY_ND;
}

// OpenCC answers for one character at a time, once each.
char32_t simplified_character(char32_t c) {
  if (!is_han(c)) return c;
  thread_local std::unordered_map<char32_t, char32_t> known;
  const auto [entry, fresh] = known.try_emplace(c, c);
  if (fresh) {
    std::string text;
    append_utf8(text, c);
    const std::string out = simplified(text);
    const CodePoint first = code_point_at(out, 0);
    if (size_t(first.bytes) == out.size()) entry->second = first.value;
  }
  return entry->second;
}

// Compatibility decomposition and case folding of one character; few become more than one.
void append_compatible(std::u32string& out, char32_t c) {
  if (c < 0x80) {
    out += c >= 'A' && c <= 'Z' ? c + 32 : c;
    return;
  }
  if (is_han(c)) {
    out += simplified_character(c);
    return;
  }
  utf8proc_int32_t parts[24];
  int last_class = 0;
  const utf8proc_ssize_t count = utf8proc_decompose_char(
      utf8proc_int32_t(c), parts, 24,
      utf8proc_option_t(UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE),
      &last_class);
  for (utf8proc_ssize_t i = 0; i < std::min<utf8proc_ssize_t>(count, 24); ++i) {
    // Tone marks and accents: Lǐ Bái is found as Li Bai.
    if (utf8proc_category(parts[i]) == UTF8PROC_CATEGORY_MN) continue;
    out += simplified_character(char32_t(parts[i]));
  }
}

constexpr uint64_t kSeed = 0x9E3779B97F4A7C15u;

uint64_t extend(uint64_t hash, char32_t c) {
  hash = (hash ^ c) * 0xFF51AFD7ED558CCDu;
  return hash ^ hash >> 29;
}

uint64_t nonzero(uint64_t hash) { return hash | 1; }

}  // namespace

FoldedText fold_text(std::string_view text) {
  constexpr std::u32string_view kDropped = U"《》〈〉「」『』“”‘’\"'`＂＇";
  constexpr std::u32string_view kDots = U"·•・‧∙⋅";
  FoldedText out;
  size_t here = 0, at = 0;  // the original's character that is being folded, and the next one
  const auto push = [&](char32_t c) {
    out.characters += c;
    out.begins.push_back(here);
    out.ends.push_back(at);
  };
  const auto pop = [&] {
    out.characters.pop_back();
    out.begins.pop_back();
    out.ends.pop_back();
  };
  std::u32string parts;
  while (at < text.size()) {
    const CodePoint c = code_point_at(text, at);
    here = at;
    at += size_t(c.bytes);
    if (kDropped.find(c.value) != kDropped.npos) continue;
    if (kDots.find(c.value) != kDots.npos) {
      push(U'·');
      continue;
    }
    parts.clear();
    append_compatible(parts, c.value);
    for (const char32_t part : parts) {
      if (part != ' ' && part != '\t' && part != '\n' && part != 0xA0) {
        // A blank that does not stand between two words says nothing.
        if (out.characters.ends_with(U' ') && !is_word(part)) pop();
        push(part);
      } else if (!out.characters.empty() && is_word(out.characters.back())) {
        push(U' ');
      }
    }
  }
  if (out.characters.ends_with(U' ')) pop();
  return out;
}

std::string folded(std::string_view text) {
  std::string out;
  for (const char32_t c : fold_text(text).characters) append_utf8(out, c);
  return out;
}

void NameIndex::add(std::string_view name, int id) {
  std::u32string text = fold_text(name).characters;
  if (text.empty()) return;
  uint64_t hash = kSeed;
  for (const char32_t c : text) hash = extend(hash, c);
  names_.push_back({nonzero(hash), id, std::move(text)});
}

const NameIndex::Slot* NameIndex::slot(uint64_t hash) const {
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash >> 17 & mask;; at = (at + 1) & mask) {
    if (slots_[at].hash == hash) return &slots_[at];
    if (slots_[at].hash == 0) return nullptr;
  }
}

void NameIndex::put(uint64_t hash, int32_t first) {
  const size_t mask = slots_.size() - 1;
  size_t at = hash >> 17 & mask;
  while (slots_[at].hash != 0 && slots_[at].hash != hash) at = (at + 1) & mask;
  slots_[at].hash = hash;
  if (first >= 0) slots_[at].first = first;
}

void NameIndex::build() {
  std::ranges::sort(names_, [](const Name& a, const Name& b) {
    return std::tie(a.hash, a.text, a.id) < std::tie(b.hash, b.text, b.id);
  });
  const auto same = [](const Name& a, const Name& b) { return a.id == b.id && a.text == b.text; };
  names_.erase(std::unique(names_.begin(), names_.end(), same), names_.end());
  size_t prefixes = 1;
  for (const Name& name : names_) prefixes += name.text.size();
  slots_.assign(std::bit_ceil(prefixes * 2), {});
  for (size_t i = 0; i < names_.size(); ++i) {
    uint64_t hash = kSeed;
    for (const char32_t c : names_[i].text) put(nonzero(hash = extend(hash, c)), -1);
    if (i == 0 || names_[i - 1].hash != names_[i].hash) put(names_[i].hash, int32_t(i));
  }
}

std::vector<NameMatch> NameIndex::scan(const FoldedText& text) const {
  std::vector<NameMatch> matches;
  if (slots_.empty()) return matches;
  const std::u32string& c = text.characters;
  for (size_t begin = 0; begin < c.size(); ++begin) {
    if (begin > 0 && is_word(c[begin]) && is_word(c[begin - 1])) continue;
    const size_t before = matches.size();
    uint64_t hash = kSeed;
    for (size_t end = begin; end < c.size();) {
      hash = extend(hash, c[end++]);
      const Slot* found = slot(nonzero(hash));
      if (!found) break;
      if (found->first < 0) continue;
      if (end < c.size() && is_word(c[end - 1]) && is_word(c[end])) continue;
      const std::u32string_view here = std::u32string_view(c).substr(begin, end - begin);
      for (size_t i = size_t(found->first); i < names_.size() && names_[i].hash == nonzero(hash);
           ++i)
        if (names_[i].text == here) matches.push_back({begin, end, names_[i].id});
    }
    std::stable_sort(matches.begin() + std::ptrdiff_t(before), matches.end(),
                     [](const NameMatch& a, const NameMatch& b) { return a.end > b.end; });
  }
  return matches;
}

std::vector<int> NameIndex::find(std::string_view name) const {
  std::vector<int> ids;
  const FoldedText text = fold_text(name);
  for (const NameMatch& match : scan(text))
    if (match.begin == 0 && match.end == text.characters.size()) ids.push_back(match.name);
  return ids;
}

}  // namespace shenhong
