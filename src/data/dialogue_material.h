// What the answers of generated dialogues are made of: poems that truly have their form and rhyme,
// lyrics that keep their tune, words with a short clean definition.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "data/dialogue_templates.h"
#include "data/document.h"
#include "data/poem.h"

namespace shenhong {

struct Verse {
  PoemForm form = PoemForm::kOther;  // kOther: a lyric (词)
  std::string title;                 // what an answer is headed with; a lyric's tune
  std::string author, dynasty;
  std::vector<std::string> rows;  // a couplet each, with marks; for lyrics, a sentence
  std::vector<int> topics;        // indices into DialogueMaterial::topics
  bool by_listed_poet = false, famous = false;

  std::vector<std::string> lines() const;  // without marks
  std::string answer() const;              // 《title》, form and rhyme of a poem, and the rows
};

struct WordEntry {
  std::string word, definition;
};

struct DialogueMaterial {
  std::vector<Topic> topics;  // those of the templates first, then words of the dictionary
  size_t template_topics = 0;
  std::vector<Verse> verses;
  std::array<std::vector<int>, 4> by_form;  // as kRegulatedForms: indices into verses
  std::vector<int> lyrics;
  std::vector<WordEntry> words;
};

// Reads the documents one by one, keeps what is fit, and sorts it out at the end.
class MaterialCollector {
 public:
  explicit MaterialCollector(const DialogueTemplates& templates) : templates_(templates) {}
  void add(const Document& document);
  DialogueMaterial finish();

 private:
  void drop_unfit_verses();
  std::map<std::string, int> add_word_topics();

  const DialogueTemplates& templates_;
  DialogueMaterial material_;
  std::map<char32_t, int> character_counts_;
};

// All of PREPARED/*/train.jsonl.zst, the output of `shenhong data`.
DialogueMaterial read_material(const DialogueTemplates& templates, const fs::path& prepared);

// The heading of a poem without its counters (三首, 其二), or empty when it is not fit to be asked
// for: longer than 10 characters, or about an exchange between people (次韵, 寄, 酬 ...).
std::string clean_title(std::string_view title);

// The first sense of a definition, in one or two sentences; empty when it only refers to another
// word, is longer than 60 characters or is damaged.
std::string clean_definition(std::string_view word, std::string_view definition);

}  // namespace shenhong
