#include "grounding/lookup_text.h"

#include <fmt/format.h>

#include "text/special_tokens.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

bool chinese(Language language) { return language == Language::kChinese; }

}  // namespace

std::string_view blank(Language language) { return chinese(language) ? "" : " "; }
std::string_view between(Language language) { return chinese(language) ? "，" : "; "; }
std::string_view full_stop(Language language) { return chinese(language) ? "。" : "."; }
std::string_view value_separator(Language language) { return chinese(language) ? "、" : ", "; }

std::string lead_in(std::string_view entity, std::string_view label, Language language,
                    bool first) {
  if (chinese(language)) return fmt::format("{}的{}是", entity, label);
  return fmt::format("{} {} of {}:", first ? "The" : "the", label, entity);
}

std::string no_such_fact(std::string_view entity, std::string_view label, Language language,
                         bool first) {
  return chinese(language)
             ? fmt::format("图谱中没有“{}”的“{}”。", entity, label)
             : fmt::format("{} graph has no {} of {}.", first ? "The" : "the", label, entity);
}

std::string not_understood(std::string_view entity, std::string_view label, Language language) {
  return chinese(language)
             ? fmt::format("不确定您问的是不是“{}”的“{}”，所以不作回答。", entity, label)
             : fmt::format("I am not sure that you ask for the {} of {}, so I do not answer.",
                           label, entity);
}

std::string shown_value(std::string_view value) {
  std::string text;
  for_each_character(sanitise_utf8(value), [&](char32_t c) {
    if (c == '\n' || c == '\t' || c == 0x2028 || c == 0x2029)
      text += ' ';
    else if (!is_invisible(c))
      append_utf8(text, c);
  });
  return text;
}

void say_look_ups(const std::vector<Hop>& hops, Language language, MarkedText& out) {
  for (size_t i = 0; i < hops.size(); ++i) {
    const Hop& hop = hops[i];
    if (i > 0) out.say(between(language));
    out.mark(kKgEntity);
    out.say(blank(language));
    out.say(hop.entity);
    out.mark(kKgRelation);
    out.say(blank(language));
    out.say(hop.label);
    out.mark(kKgEnd);
    if (hop.values.empty()) {
      out.mark(kKgNull);
      out.say(no_such_fact(hop.entity, hop.label, language));
      return;
    }
    out.say(lead_in(hop.entity, hop.label, language, i == 0));
    out.mark(kKgValue);
    out.say(blank(language));
    for (size_t v = 0; v < hop.values.size(); ++v) {
      if (v > 0) out.say(value_separator(language));
      out.say(hop.values[v]);
    }
    out.mark(kKgEnd);
  }
  out.say(full_stop(language));
}

std::string cited_look_ups(const std::vector<Hop>& hops, Language language) {
  std::string text;
  int citations = 0;
  for (size_t i = 0; i < hops.size(); ++i) {
    const Hop& hop = hops[i];
    if (i > 0) text += between(language);
    if (hop.values.empty()) return text + no_such_fact(hop.entity, hop.label, language);
    text += lead_in(hop.entity, hop.label, language, i == 0);
    for (size_t v = 0; v < hop.values.size(); ++v)
      text += fmt::format("{}{}{}[{}]", v > 0 ? value_separator(language) : blank(language),
                          hop.values[v], blank(language), ++citations);
  }
  return text.append(full_stop(language));
}

}  // namespace shenhong
