// How a look-up is written: the question to the graph first, then the sentence, in which the
// runtime puts the value.
//   <kg_e>姚明<kg_r>妻子<kg_end>姚明的妻子是<kg_v>叶莉<kg_end>。
//   <kg_e>姚明<kg_r>身高<kg_end><kg_null>图谱中没有“姚明”的“身高”。
// A sentence that claims a fact is thus never begun before the graph has been asked. In English
// every name keeps the blank before it, as it has inside a sentence: the tokens are then those of
// the question.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knowledge/quiz.h"
#include "text/chat_template.h"

namespace shenhong {

// A text of which some bytes are control tokens.
struct MarkedText {
  std::string text;
  std::vector<std::pair<size_t, size_t>> markup;

  void say(std::string_view words) { text += words; }
  void mark(std::string_view token) {
    markup.emplace_back(text.size(), text.size() + token.size());
    text += token;
  }
};

// Before a name: nothing, or a blank. Between values of one relation: 、 or a comma.
std::string_view blank(Language language);
std::string_view value_separator(Language language);
// After a value: before the next look-up, or at the end.
std::string_view between(Language language);
std::string_view full_stop(Language language);
// 姚明的妻子是 / The spouse of Yao Ming: `first`: the sentence begins with it.
std::string lead_in(std::string_view entity, std::string_view label, Language language, bool first);
// 图谱中没有“姚明”的“身高”。
std::string no_such_fact(std::string_view entity, std::string_view label, Language language,
                         bool first = true);

// 不确定您问的是不是“姚明”的“身高”，所以不作回答。
std::string not_understood(std::string_view entity, std::string_view label, Language language);

// A value as an answer shows it: one line, without control and direction characters, which change
// how the text after them is shown.
std::string shown_value(std::string_view value);

// What the model is to write for these look-ups, one after the other.
void say_look_ups(const std::vector<Hop>& hops, Language language, MarkedText& out);
// The same as its reader sees it, with citations.
std::string cited_look_ups(const std::vector<Hop>& hops, Language language);

}  // namespace shenhong
