#include "data/poem.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>

#include "data/rhyme.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

constexpr std::u32string_view kLineEnds = U"，。！？；：、,.!?;:\n";
constexpr std::u32string_view kNoPartOfLines = U"“”‘’「」『』\"' \t\r\u3000";

bool is_form_and_rhyme(std::string_view text) {
  const std::string_view form = text.substr(0, text.find("·"));
  const bool names_form = form == form_name(PoemForm::kOldStyle) ||
                          std::ranges::any_of(kRegulatedForms, [&](const FormShape& shape) {
                            return shape.name == form;
                          });
  return names_form && form.size() < text.size();
}

}  // namespace

std::string_view form_name(PoemForm form) {
  for (const FormShape& shape : kRegulatedForms) {
    if (shape.form == form) return shape.name;
  }
  return form == PoemForm::kOldStyle ? "古风" : "其他";
}

Poem parse_poem(std::string_view text) {
  constexpr std::string_view kOpen = "《", kClose = "》";
  Poem poem;
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  const std::string_view first_row = text.substr(0, text.find('\n'));
  if (first_row.starts_with(kOpen)) {
    const size_t close = first_row.rfind(kClose);
    if (close != std::string_view::npos) {
      poem.title = first_row.substr(kOpen.size(), close - kOpen.size());
      text.remove_prefix(close + kClose.size());
      const std::string_view after = first_row.substr(close + kClose.size());
      if (is_form_and_rhyme(after)) text.remove_prefix(after.size());
    }
  }
  std::string line;
  const auto end_line = [&] {
    if (!line.empty()) poem.lines.push_back(std::move(line));
    line.clear();
  };
  for_each_character(text, [&](char32_t character) {
    if (kLineEnds.find(character) != kLineEnds.npos) {
      end_line();
    } else if (kNoPartOfLines.find(character) == kNoPartOfLines.npos) {
      append_utf8(line, character);
    }
  });
  end_line();
  return poem;
}

std::vector<int> line_lengths(const std::vector<std::string>& lines) {
  std::vector<int> lengths;
  for (const std::string& line : lines) {
    int length = 0;
    bool all_han = true;
    for_each_character(line, [&](char32_t character) {
      all_han &= is_han(character);
      ++length;
    });
    lengths.push_back(all_han ? length : 0);
  }
  return lengths;
}

PoemForm recognise_form(const std::vector<std::string>& lines) {
  const std::vector<int> lengths = line_lengths(lines);
  if (lengths.empty() ||
      std::ranges::adjacent_find(lengths, std::not_equal_to()) != lengths.end()) {
    return PoemForm::kOther;
  }
  for (const FormShape& shape : kRegulatedForms) {
    if (int(lines.size()) == shape.lines && lengths[0] == shape.characters) return shape.form;
  }
  const bool even = lines.size() >= 4 && lines.size() % 2 == 0;
  return even && (lengths[0] == 5 || lengths[0] == 7) ? PoemForm::kOldStyle : PoemForm::kOther;
}

std::vector<char32_t> rhyme_words(const std::vector<std::string>& lines) {
  std::vector<char32_t> words;
  for (size_t i = 1; i < lines.size(); i += 2) {
    char32_t last = 0;
    for_each_character(lines[i], [&](char32_t character) { last = character; });
    words.push_back(last);
  }
  return words;
}

bool rhymes(const std::vector<std::string>& lines) {
  const std::vector<char32_t> words = rhyme_words(lines);
  const bool distinct = std::set<char32_t>(words.begin(), words.end()).size() == words.size();
  return words.size() >= 2 && distinct && shared_rhymes(words) != 0;
}

std::string short_rhyme_name(int group) {
  const std::string_view name = rhyme_name(group);
  constexpr std::string_view kTone = "声", kRhyme = "韵";
  constexpr size_t kHan = 3;  // bytes of a common Chinese character
  if (name.ends_with(kTone)) return std::string(name);
  return std::string(name.substr(name.size() - kHan)) + std::string(kRhyme);
}

std::string form_and_rhyme(const std::vector<std::string>& lines) {
  const PoemForm form = recognise_form(lines);
  if (form == PoemForm::kOther || !rhymes(lines)) return "";
  const int group = std::countr_zero(shared_rhymes(rhyme_words(lines)));
  return fmt::format("{}·{}", form_name(form), short_rhyme_name(group));
}

std::string rhyme_plan(const std::vector<std::string>& lines) {
  std::string plan = form_and_rhyme(lines);
  if (plan.empty()) return plan;
  plan += "·";
  for (const char32_t word : rhyme_words(lines)) append_utf8(plan, word);
  return plan;
}

std::string format_poem(const std::string& title, const std::vector<std::string>& lines) {
  std::string text = title.empty() ? "" : "《" + title + "》\n";
  for (size_t i = 0; i < lines.size(); ++i) {
    const bool couplet_ends = i % 2 == 1 || i + 1 == lines.size();
    text += lines[i] + (couplet_ends ? "。" : "，");
    if (couplet_ends && i + 1 < lines.size()) text += '\n';
  }
  return text;
}

}  // namespace shenhong
