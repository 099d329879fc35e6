// What a classical poem is, as far as a program can check it: lines, form, rhyme words.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace shenhong {

enum class PoemForm { kWujue, kQijue, kWulv, kQilv, kOldStyle, kOther };

// The four regulated forms: so many lines of so many characters.
struct FormShape {
  PoemForm form;
  std::string_view name, english;
  int lines, characters;
};
inline constexpr std::array<FormShape, 4> kRegulatedForms = {{
    {PoemForm::kWujue, "五绝", "five-character quatrain", 4, 5},
    {PoemForm::kQijue, "七绝", "seven-character quatrain", 4, 7},
    {PoemForm::kWulv, "五律", "five-character regulated verse", 8, 5},
    {PoemForm::kQilv, "七律", "seven-character regulated verse", 8, 7},
}};

// 五绝 ... 七律, 古风 (five or seven characters in every line, another even number of lines), 其他.
std::string_view form_name(PoemForm form);

// Lines (句) are what stands between two marks of ，。！？；：、 or line breaks; they hold no
// marks, no quotation marks and no white space. `title` is that of a first row 《…》, else empty; a
// form_and_rhyme or rhyme_plan after it is no line.
struct Poem {
  std::string title;
  std::vector<std::string> lines;
};
Poem parse_poem(std::string_view text);

// Characters per line; 0 for a line that holds anything but Chinese characters.
std::vector<int> line_lengths(const std::vector<std::string>& lines);

PoemForm recognise_form(const std::vector<std::string>& lines);

// The last characters of the second, fourth, ... line. The first line of a poem may rhyme with
// them or not, so it does not count.
std::vector<char32_t> rhyme_words(const std::vector<std::string>& lines);

// Whether the rhyme words (at least two, none twice) share a group of data/rhyme.h.
bool rhymes(const std::vector<std::string>& lines);

// What a heading says of a poem whose rhyme words share a group: 七绝·东韵; empty for others. To
// name the rhyme before the first line is an old custom (限韵), and it gives a model that writes
// from left to right the one thing that the even lines have in common.
std::string form_and_rhyme(const std::vector<std::string>& lines);

// The same with the rhyme words themselves: 七绝·东韵·红风中. Written in a row they are easy to
// choose; at the end of its line each is only to be copied, as a poet does who writes to given
// rhymes (次韵).
std::string rhyme_plan(const std::vector<std::string>& lines);

// 东韵 of 上平一东; oblique groups keep their names, 第三部仄声.
std::string short_rhyme_name(int group);

// 《title》 unless it is empty, then one couplet a row: 床前明月光，疑是地上霜。
std::string format_poem(const std::string& title, const std::vector<std::string>& lines);

}  // namespace shenhong
