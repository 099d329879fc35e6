#include "data/dialogue_material.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "data/held_out_topics.h"
#include "data/training_documents.h"
#include "data/tunes.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

// A poem with a character that stands fewer times in all verse is not learnt from.
constexpr int kRareCharacter = 30;
// A word of the dictionary is a topic when at least so many poems hold it (fewer: too little to
// learn from) and at most so many (more: no subject but idiom, as 万里), and this share of them in
// the title.
constexpr int kRareTopic = 40, kCommonTopic = 4000;
constexpr double kTitleShare = 0.02;

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

int occurrences(std::string_view text, std::string_view part) {
  int count = 0;
  for (size_t at = 0; (at = text.find(part, at)) != text.npos; at += part.size()) ++count;
  return count;
}

bool all_han(std::string_view text) {
  bool han = true;
  for_each_character(text, [&](char32_t character) { han &= is_han(character); });
  return han;
}

std::vector<std::string> rows_of(std::string_view text) {
  std::vector<std::string> rows;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    rows.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return rows;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string all;
  for (const std::string& part : parts) all += part;
  return all;
}

// A poem is about a topic when a word of it stands in the title, or two times in the lines; words
// of two characters and more say enough when they stand there once.
bool is_about(const Topic& topic, std::string_view title, std::string_view body) {
  int weight = 0;
  for (const std::string& word : topic.words) {
    weight += 2 * int(contains(title, word));
    weight += occurrences(body, word) * (count_characters(word) >= 2 ? 2 : 1);
  }
  return weight >= 2;
}

// Two-character words at the places where the rhythm of a line of 5 or 7 characters (2 2 1 or 2 1
// 2, after two more in the longer one) lets a word stand.
std::set<std::string> words_in_rhythm(const Verse& verse) {
  constexpr size_t kHan = 3;  // bytes of a common Chinese character
  std::set<std::string> words;
  for (const std::string& line : verse.lines()) {
    const size_t characters = line.size() / kHan;
    if (line.size() % kHan != 0 || (characters != 5 && characters != 7)) continue;
    for (const size_t start : {size_t(0), characters - 5, characters - 3, characters - 2}) {
      words.insert(line.substr(start * kHan, 2 * kHan));
    }
  }
  return words;
}

// The first half of a regulated verse (截句): of the four forms the five-character quatrain is the
// rarest by far, and of few poems a model learns lines instead of the form.
Verse quatrain_of(const Verse& verse) {
  Verse quatrain = verse;
  quatrain.form = PoemForm::kWujue;
  quatrain.famous = false;
  quatrain.rows.resize(2);
  return quatrain;
}

}  // namespace

std::vector<std::string> Verse::lines() const { return parse_poem(joined(rows)).lines; }

std::string Verse::answer() const {
  std::string text = "《" + title + "》";
  if (form != PoemForm::kOther) text += rhyme_plan(lines());
  for (const std::string& row : rows) text += "\n" + row;
  return text;
}

void MaterialCollector::add(const Document& document) {
  const auto field = [&](const char* name) { return document.meta.value(name, ""); };
  if (const std::string word = field("word"); !word.empty()) {
    std::string definition = clean_definition(word, field("definition"));
    material_.words.push_back({word, std::move(definition)});
    return;
  }
  const std::string kind = field("kind");
  if (kind != "诗" && kind != "词") return;
  Verse verse;
  verse.author = field("author");
  verse.dynasty = field("dynasty");
  verse.by_listed_poet = templates_.poets().contains(verse.author);
  verse.rows = rows_of(text_below_heading(document));
  const std::vector<std::string> lines = verse.lines();
  for (const std::string& line : lines) {
    for_each_character(line, [&](char32_t character) { ++character_counts_[character]; });
  }
  if (kind == "诗") {
    verse.title = clean_title(field("title"));
    verse.form = recognise_form(lines);
    verse.famous = templates_.is_famous(document.source, verse.author, verse.title);
    const bool regulated = verse.form != PoemForm::kOther && verse.form != PoemForm::kOldStyle;
    if (!regulated || !rhymes(lines) || verse.title.empty()) return;
    verse.rows.clear();
    for (size_t i = 0; i + 1 < lines.size(); i += 2) {
      verse.rows.push_back(lines[i] + "，" + lines[i + 1] + "。");
    }
  } else {
    verse.title = tune_name(field("tune"));
    if (verse.title.empty() || !all_han(verse.title)) return;
  }
  if (verse.form == PoemForm::kWulv) material_.verses.push_back(quatrain_of(verse));
  material_.verses.push_back(std::move(verse));
}

void MaterialCollector::drop_unfit_verses() {
  TunePatterns patterns;
  for (const Verse& verse : material_.verses) {
    if (verse.form == PoemForm::kOther) patterns.add(verse.title, line_lengths(verse.lines()));
  }
  std::erase_if(material_.verses, [&](const Verse& verse) {
    const std::vector<std::string> lines = verse.lines();
    bool odd = false;
    for_each_character(joined(lines), [&](char32_t character) {
      odd |= !is_han(character);
      odd |= !verse.famous && character_counts_[character] < kRareCharacter;
    });
    const bool lyric = verse.form == PoemForm::kOther;
    return odd || (lyric && !patterns.keeps(verse.title, line_lengths(lines)));
  });
}

// Adds the words of the dictionary that are subjects of poems to the topics; word -> topic.
std::map<std::string, int> MaterialCollector::add_word_topics() {
  struct Use {
    int poems = 0, titles = 0;
  };
  std::map<std::string, Use> uses;
  for (const WordEntry& entry : material_.words) {
    const bool two_characters = count_characters(entry.word) == 2 && all_han(entry.word);
    if (two_characters && !names_held_out_topic(entry.word)) uses[entry.word];
  }
  for (const Verse& verse : material_.verses) {
    for (const std::string& word : words_in_rhythm(verse)) {
      const auto use = uses.find(word);
      if (use == uses.end()) continue;
      ++use->second.poems;
      use->second.titles += contains(verse.title, word);
    }
  }
  std::set<std::string> named;
  for (const Topic& topic : material_.topics) named.insert(topic.names.begin(), topic.names.end());
  std::map<std::string, int> word_topics;
  for (const auto& [word, use] : uses) {
    if (use.poems < kRareTopic || use.poems > kCommonTopic || named.contains(word)) continue;
    if (use.titles < kTitleShare * use.poems) continue;
    word_topics[word] = int(material_.topics.size());
    material_.topics.push_back({{word}, "", {word}});
  }
  return word_topics;
}

DialogueMaterial MaterialCollector::finish() {
  drop_unfit_verses();
  material_.topics = templates_.topics();
  material_.template_topics = material_.topics.size();
  const std::map<std::string, int> word_topics = add_word_topics();
  for (size_t v = 0; v < material_.verses.size(); ++v) {
    Verse& verse = material_.verses[v];
    const bool lyric = verse.form == PoemForm::kOther;
    const std::string body = joined(verse.lines()), title = lyric ? "" : verse.title;
    for (size_t t = 0; t < material_.template_topics; ++t) {
      if (is_about(material_.topics[t], title, body)) verse.topics.push_back(int(t));
    }
    for (const std::string& word : words_in_rhythm(verse)) {
      const auto topic = word_topics.find(word);
      if (topic != word_topics.end()) verse.topics.push_back(topic->second);
    }
    if (lyric) material_.lyrics.push_back(int(v));
    for (size_t f = 0; f < kRegulatedForms.size(); ++f) {
      if (kRegulatedForms[f].form == verse.form) material_.by_form[f].push_back(int(v));
    }
  }
  std::erase_if(material_.words, [](const WordEntry& entry) { return entry.definition.empty(); });
  return std::move(material_);
}

DialogueMaterial read_material(const DialogueTemplates& templates, const fs::path& prepared) {
  MaterialCollector collector(templates);
  for (const fs::path& file : training_documents(prepared)) {
    read_documents(file, [&](Document&& document) { collector.add(document); });
  }
  return collector.finish();
}

std::string clean_title(std::string_view title) {
  constexpr std::string_view kNumerals[] = {"一", "二", "三", "四", "五", "六",
                                            "七", "八", "九", "十", "百"};
  constexpr std::string_view kCounters[] = {"首", "绝", "章", "咏"};
  constexpr std::string_view kExchanges[] = {"韵", "奉",   "呈",   "寿",   "挽", "贺", "简", "应制",
                                             "偈", "颂古", "失题", "阙题", "寄", "酬", "答", "和"};
  const auto ends_with_one_of = [&](const auto& ends) {
    return std::ranges::any_of(ends, [&](std::string_view end) { return title.ends_with(end); });
  };
  for (const std::string_view mark : {" ", "(", "　", "（", "·", "，", "〖", "[", "并序", "并引"}) {
    title = title.substr(0, title.find(mark));
  }
  const std::string_view whole = title;
  if (ends_with_one_of(kCounters)) title.remove_suffix(3);
  if (!ends_with_one_of(kNumerals))
    title = whole;  // no count stands before 首, so it is no counter
  while (ends_with_one_of(kNumerals)) title.remove_suffix(3);
  if (title.ends_with("其") || title.ends_with("之")) title.remove_suffix(3);
  const size_t characters = count_characters(title);
  if (characters < 1 || characters > 10 || !all_han(title) || title == "句") return "";
  for (const std::string_view word : kExchanges) {
    if (contains(title, word)) return "";
  }
  return std::string(title);
}

std::string clean_definition(std::string_view word, std::string_view definition) {
  // Marks of old typesetting and the marks they stand for.
  constexpr std::u32string_view kMarks = U"﹑、﹐，﹕：﹔；;；．·";
  constexpr std::u32string_view kAllowed = U"，。、；：《》“”·（）！？";
  for (const std::string_view number : {"1.", "①"}) {
    if (definition.starts_with(number)) definition.remove_prefix(number.size());
  }
  for (const std::string_view next : {"\n", "2.", "②"}) {
    definition = definition.substr(0, definition.find(next));
  }
  std::string text;
  bool quoted = false, damaged = false;
  for_each_character(definition, [&](char32_t character) {
    if (const size_t mark = kMarks.find(character); mark != kMarks.npos && mark % 2 == 0) {
      character = kMarks[mark + 1];
    } else if (character == U'"') {
      character = quoted ? U'”' : U'“';
      quoted = !quoted;
    }
    if (character == U' ') return;
    damaged |= !is_han(character) && kAllowed.find(character) == kAllowed.npos;
    append_utf8(text, character);
  });
  for (const std::string_view reference :
       {"见“", "同“", "也作", "亦作", "亦称", "语出", "详", "犹", "《"}) {
    damaged |= text.starts_with(reference);
  }
  if (damaged || contains(text, "参见") || contains(text, "语本")) return "";

  // Whole sentences, at most two, as long as they stay short.
  size_t end = 0;
  for (int sentence = 0; sentence < 2; ++sentence) {
    const size_t stop = text.find("。", end);
    if (stop == text.npos) break;
    const size_t next = stop + std::string_view("。").size();
    if (count_characters(std::string_view(text).substr(0, next)) > 60) break;
    end = next;
  }
  text.resize(end);
  for (const auto& [open, close] :
       {std::pair("“", "”"), std::pair("《", "》"), std::pair("（", "）")}) {
    if (occurrences(text, open) != occurrences(text, close)) return "";
  }
  // Idioms are what people ask about; the other words are mostly of the old books
  // ("谓满座皆惊服。"), but long entries are encyclopedic.
  const size_t characters = count_characters(text);
  const bool idiom = count_characters(word) == 4;
  const bool encyclopedic = characters >= 16 && !text.starts_with("谓") && !text.starts_with("古");
  return (idiom && characters >= 6) || encyclopedic ? text : "";
}

}  // namespace shenhong
