// The sentences of generated dialogues and the words for their slots: recipes/dialogues.toml.
#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "data/poem.h"
#include "text/phrase.h"

namespace shenhong {

// One kind of request and, where the data do not give the answer, the answers to it.
struct Exchange {
  std::vector<Phrase> ask, english;
  std::vector<Phrase> answer, answer_english;
};

struct Topic {
  std::vector<std::string> names;
  std::string english;             // empty: never asked for in English
  std::vector<std::string> words;  // a poem that holds one of them is about the topic
};

struct FormWords {
  PoemForm form;
  std::vector<std::string> chinese, english;
};

class DialogueTemplates {
 public:
  // Error(kBadInput) names the section and the sentence that does not hold exactly the slots that
  // the section promises, a request without answers, or a form, topic or section that is missing.
  DialogueTemplates(const Json& json, const std::string& where);
  static DialogueTemplates read(const fs::path& path);

  const Exchange& exchange(std::string_view section) const;  // one of kExchangeSections
  const std::vector<Exchange>& talk() const { return talk_; }
  const std::vector<Topic>& topics() const { return topics_; }
  const FormWords& form(PoemForm form) const;
  // Name and English name of the poets whose manner and lines are asked for.
  const std::map<std::string, std::string>& poets() const { return poets_; }
  // Whether everybody asks about this poem; `title` as clean_title gives it, `source` as the
  // recipe names the corpus.
  bool is_famous(const std::string& source, const std::string& author,
                 const std::string& title) const;

 private:
  std::map<std::string, Exchange, std::less<>> exchanges_;
  std::vector<Exchange> talk_;
  std::vector<Topic> topics_;
  std::vector<FormWords> forms_;
  std::map<std::string, std::string> poets_;
  std::map<std::string, std::vector<std::string>> famous_;  // author -> titles
  std::vector<std::string> famous_sources_;
};

inline constexpr auto kExchangeSections = std::to_array<std::string_view>(
    {"poem_form",   "poem_form_rhyme", "poem_topic",     "poem_form_topic",
     "poem_titled", "poem_poet",       "poem_form_poet", "poem_form_topic_poet",
     "poem_tune",   "poem_tune_topic", "poem_tune_poet", "continue",
     "next_line",   "previous_line",   "source",         "unknown_line",
     "word",        "again_same",      "again_form",     "again_topic",
     "again_poet",  "again_word",      "whose_poem"});

}  // namespace shenhong
