#include "eval/fact_grade.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "text/utf8.h"

namespace shenhong {
namespace {

constexpr std::string_view kAbstentions[] = {"图谱中没有",
                                             "没有问题所问",
                                             "没有图谱认识",
                                             "不止一个",
                                             "不知道",
                                             "不清楚",
                                             "不确定",
                                             "The graph has no",
                                             "but not what the question asks",
                                             "names nothing that the graph",
                                             "There is more than one",
                                             "do not know",
                                             "don't know",
                                             "so I do not answer",
                                             "所以不作回答"};

// [1] and the like go: they are the runtime's.
std::string without_citations(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '[') {
      const size_t close = text.find(']', i);
      const bool digits =
          close != text.npos && close > i + 1 &&
          std::all_of(text.begin() + ptrdiff_t(i) + 1, text.begin() + ptrdiff_t(close),
                      [](char c) { return c >= '0' && c <= '9'; });
      if (digits) {
        i = close;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

std::set<std::string> numbers_of(std::string_view text) {
  std::set<std::string> numbers;
  std::string number;
  for (const char c : text) {
    if (c >= '0' && c <= '9') {
      number += c;
    } else if (!number.empty()) {
      numbers.insert(std::move(number));
      number.clear();
    }
  }
  if (!number.empty()) numbers.insert(number);
  return numbers;
}

}  // namespace

Grade grade_answer(const QuizQuestion& question, const std::string& text, size_t claims,
                   const Linker& linker) {
  const bool abstains = std::ranges::any_of(
      kAbstentions, [&](std::string_view phrase) { return text.find(phrase) != text.npos; });
  if (!is_answerable(question.kind))
    return abstains && claims == 0 ? Grade::kNotAttempted : Grade::kIncorrect;
  if (abstains || text.empty()) return Grade::kNotAttempted;

  const std::string said = without_citations(text), said_folded = folded(said);
  bool holds_value = false;
  std::string allowed = question.text;  // names and numbers that are no claims, or right ones
  for (const Hop& hop : question.hops) {
    allowed += "\n" + hop.entity + "\n" + hop.label;
    for (const std::string& value : hop.values) allowed += "\n" + value;
  }
  for (const std::string& value : question.hops.back().values)
    holds_value |= said_folded.find(folded(value)) != said_folded.npos;
  if (!holds_value) return Grade::kIncorrect;
  const std::string allowed_folded = folded(allowed);
  for (const Mention& mention : linker.link(fold_text(said), said))
    if (allowed_folded.find(folded(mention.name)) == allowed_folded.npos) return Grade::kIncorrect;
  const std::set<std::string> known = numbers_of(allowed);
  for (const std::string& number : numbers_of(said))
    if (!known.contains(number)) return Grade::kIncorrect;
  return Grade::kCorrect;
}

std::pair<double, double> Share::interval() const {
  if (of == 0) return {0, 1};
  constexpr double kZ = 1.959964;
  const double n = double(of), p = value(), z2 = kZ * kZ;
  const double centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half = kZ / (1 + z2 / n) * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

}  // namespace shenhong
