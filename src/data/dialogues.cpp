#include "data/dialogues.h"

#include <algorithm>
#include <array>
#include <optional>

#include "core/error.h"
#include "core/lines.h"
#include "data/held_out_topics.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

constexpr size_t kForms = kRegulatedForms.size();
constexpr int kPerPoet = 100;  // poems of one form: 陆游 alone left thousands

// Verses in an order that repeats only when all were drawn, each as often as its weight.
class Deck {
 public:
  void put(int verse, int times) { cards_.insert(cards_.end(), size_t(times), verse); }
  void shuffle(Dice& dice) { dice.shuffle(cards_); }
  size_t size() const { return cards_.size(); }
  int draw() { return cards_[at_++ % cards_.size()]; }

 private:
  std::vector<int> cards_;
  size_t at_ = 0;
};

struct Turn {
  std::string ask, answer;
};

class DialogueMaker {
 public:
  DialogueMaker(const DialogueMaterial& material, const DialogueTemplates& templates,
                const DialogueConfig& config)
      : material_(material), templates_(templates), config_(config), uses_(material.topics.size()) {
    for (size_t f = 0; f < kForms; ++f) fill(material.by_form[f], verses_[f], by_poets_[f]);
    fill(material.lyrics, lyrics_, lyrics_by_poets_);
    for (const auto& list : material.by_form) {
      for (const int v : list) {
        for (const int topic : verse(v).topics) about_[{verse(v).form, topic}].push_back(v);
      }
    }
    for (size_t i = 0; i < material.words.size(); ++i) words_.put(int(i), 1);
    Dice dice(config.seed, fnv1a("words"));
    words_.shuffle(dice);
  }

  void make(const std::function<void(Dialogue&&)>& take) {
    using Make = std::optional<Dialogue> (DialogueMaker::*)(int64_t, Dice&);
    const std::pair<Make, int64_t> sorts[] = {{&DialogueMaker::poem, config_.poems},
                                              {&DialogueMaker::lyric, config_.lyrics},
                                              {&DialogueMaker::continuation, config_.continuations},
                                              {&DialogueMaker::neighbour, config_.neighbours},
                                              {&DialogueMaker::source, config_.sources},
                                              {&DialogueMaker::unknown_line, config_.unknown_lines},
                                              {&DialogueMaker::word, config_.words},
                                              {&DialogueMaker::talk, config_.talk},
                                              {&DialogueMaker::turns, config_.turns}};
    for (size_t sort = 0; sort < std::size(sorts); ++sort) {
      for (int64_t i = 0; i < sorts[sort].second; ++i) {
        Dice dice(config_.seed, (sort + 1) << 40 | uint64_t(i));
        if (auto dialogue = (this->*sorts[sort].first)(i, dice)) take(std::move(*dialogue));
      }
    }
  }

 private:
  const Verse& verse(int index) const { return material_.verses[size_t(index)]; }

  // 唐 before 宋, poets of the list before others; of each of these poets about as many as of the
  // rest.
  void fill(const std::vector<int>& list, Deck& all, Deck& by_poets) {
    Dice dice(config_.seed, fnv1a("decks") + all.size() + list.size());
    for (const int v : list) {
      all.put(v, verse(v).by_listed_poet ? 3 : verse(v).dynasty == "唐" ? 2 : 1);
      if (verse(v).famous) famous_.put(v, 1);
    }
    std::map<std::string_view, int> of_poet;
    std::vector<int> shuffled = list;
    dice.shuffle(shuffled);
    for (const int v : shuffled) {
      if (verse(v).by_listed_poet && ++of_poet[verse(v).author] <= kPerPoet) by_poets.put(v, 1);
    }
    all.shuffle(dice);
    by_poets.shuffle(dice);
  }

  // A topic of the verse that was asked for least so far; everyday topics more often than words of
  // the dictionary. -1: it has none.
  int topic_of(const Verse& v, Dice& dice) {
    const bool everyday = dice.chance(0.6);
    int best = -1;
    const auto rank = [&](int topic) {
      return std::pair((size_t(topic) < material_.template_topics) != everyday,
                       uses_[size_t(topic)]);
    };
    for (const int topic : v.topics) {
      if (best < 0 || rank(topic) < rank(best)) best = topic;
    }
    if (best >= 0) ++uses_[size_t(best)];
    return best;
  }

  // The next verse of the deck that `fits`; null when there is none.
  template <class Fits>
  const Verse* draw(Deck& deck, Fits&& fits) {
    for (size_t i = 0; i < deck.size(); ++i) {
      const Verse& v = verse(deck.draw());
      if (fits(v)) return &v;
    }
    return nullptr;
  }
  const Verse* draw(Deck& deck) {
    return draw(deck, [](const Verse&) { return true; });
  }

  // A verse that somebody may ask about.
  const Verse* known_verse(size_t form, Dice& dice) {
    return famous_.size() > 0 && dice.chance(0.7) ? draw(famous_) : draw(by_poets_[form]);
  }

  // Fills in what a request asks of this verse; in English where that can be said and chance has
  // it.
  std::string ask(std::string_view section, const Verse* v, int topic, Slots slots, Dice& dice,
                  bool* in_english = nullptr) {
    const Exchange& exchange = templates_.exchange(section);
    const bool has_words = topic < 0 || !material_.topics[size_t(topic)].english.empty();
    const bool english =
        !exchange.english.empty() && has_words && dice.chance(config_.english_share);
    if (in_english) *in_english = english;
    if (topic >= 0) {
      const Topic& about = material_.topics[size_t(topic)];
      slots["topic"] = english ? about.english : dice.pick(about.names);
    }
    if (v && v->form != PoemForm::kOther) {
      const FormWords& form = templates_.form(v->form);
      slots["form"] = dice.pick(english ? form.english : form.chinese);
    }
    if (v && v->by_listed_poet) {
      slots["poet"] = english ? templates_.poets().at(v->author) : v->author;
    }
    return dice.pick(english ? exchange.english : exchange.ask).say(slots, dice);
  }

  static std::optional<Dialogue> one_turn(std::string_view kind, std::string ask,
                                          std::string answer) {
    return Dialogue{std::string(kind),
                    {{"user", std::move(ask)}, {"assistant", std::move(answer)}}};
  }

  std::string answer_to(std::string_view section, bool english, const Slots& slots, Dice& dice) {
    const Exchange& exchange = templates_.exchange(section);
    return dice.pick(english ? exchange.answer_english : exchange.answer).say(slots, dice);
  }

  std::optional<Dialogue> poem(int64_t i, Dice& dice) {
    struct Share {
      std::string_view section;
      int percent;
      bool topic, title, poet;
    };
    constexpr Share kShares[] = {{"poem_form_topic", 40, true, false, false},
                                 {"poem_form", 16, false, false, false},
                                 {"poem_form_rhyme", 4, false, false, false},
                                 {"poem_topic", 10, true, false, false},
                                 {"poem_titled", 9, false, true, false},
                                 {"poem_poet", 5, false, false, true},
                                 {"poem_form_poet", 8, false, false, true},
                                 {"poem_form_topic_poet", 8, true, false, true}};
    int left = int(dice.below(100));
    const Share* share = kShares;
    while (left >= share->percent) left -= share++->percent;
    const size_t form = size_t(i) % kForms;
    const Verse* v = draw((share->poet ? by_poets_ : verses_)[form], [&](const Verse& candidate) {
      if (share->topic && candidate.topics.empty()) return false;
      return !share->title || says_its_title(candidate);
    });
    if (!v) return {};
    const int topic = share->topic ? topic_of(*v, dice) : -1;
    const Slots slots = {{"title", v->title}, {"rhyme", rhyme_of(*v)}};
    return one_turn(share->section, ask(share->section, v, topic, slots, dice), v->answer());
  }

  static std::string rhyme_of(const Verse& v) {
    const std::string note = form_and_rhyme(v.lines());
    return note.substr(note.rfind("·") + std::string_view("·").size());
  }

  // Whether the lines take up the title, so that the title is a fair task.
  static bool says_its_title(const Verse& v) {
    const size_t characters = count_characters(v.title);
    if (characters < 2 || characters > 5 || names_held_out_topic(v.title)) return false;
    bool taken_up = false;
    for_each_character(v.title, [&](char32_t character) {
      std::string utf8;
      append_utf8(utf8, character);
      for (const std::string& row : v.rows) taken_up |= row.find(utf8) != std::string::npos;
    });
    return taken_up;
  }

  std::optional<Dialogue> lyric(int64_t, Dice& dice) {
    const uint64_t sort = dice.below(4);
    Deck& deck = sort == 3 ? lyrics_by_poets_ : lyrics_;
    const Verse* v = draw(deck, [&](const Verse& c) { return sort != 2 || !c.topics.empty(); });
    if (!v) return {};
    const std::string_view section = sort == 3   ? "poem_tune_poet"
                                     : sort == 2 ? "poem_tune_topic"
                                                 : "poem_tune";
    const int topic = sort == 2 ? topic_of(*v, dice) : -1;
    return one_turn(section, ask(section, v, topic, {{"tune", v->title}}, dice), v->answer());
  }

  std::optional<Dialogue> continuation(int64_t i, Dice& dice) {
    const bool famous = famous_.size() > 0 && dice.chance(0.2);
    const Verse* v = draw(famous ? famous_ : verses_[size_t(i) % kForms]);
    if (!v) return {};
    const std::vector<std::string> lines = v->lines();
    const bool one_line = dice.chance(0.35);
    const std::string opening = one_line ? lines[0] + "，" : v->rows[0];
    std::string rest = one_line ? lines[1] + "。" : "";
    for (size_t row = 1; row < v->rows.size(); ++row)
      rest += (rest.empty() ? "" : "\n") + v->rows[row];
    return one_turn("continue", ask("continue", nullptr, -1, {{"opening", opening}}, dice), rest);
  }

  std::optional<Dialogue> neighbour(int64_t i, Dice& dice) {
    const Verse* v = known_verse(size_t(i) % kForms, dice);
    if (!v) return {};
    const std::vector<std::string> lines = v->lines();
    const size_t first = dice.below(lines.size() - 1);
    const bool next = dice.chance(0.65);
    const std::string_view section = next ? "next_line" : "previous_line";
    const std::string request =
        ask(section, nullptr, -1, {{"line", lines[next ? first : first + 1]}}, dice);
    return one_turn(section, request, lines[next ? first + 1 : first] + "。");
  }

  Turn source_of(const Verse& v, Dice& dice) {
    const std::vector<std::string> lines = v.lines();
    const size_t couplet = dice.below(v.rows.size()) * 2;
    std::string line = lines[couplet + dice.below(2)];
    if (dice.chance(0.3)) line = lines[couplet] + "，" + lines[couplet + 1];
    bool english = false;
    Turn turn;
    turn.ask = ask("source", nullptr, -1, {{"line", line}}, dice, &english);
    turn.answer =
        answer_to("source", english,
                  {{"author", v.author}, {"dynasty", v.dynasty}, {"title", v.title}}, dice);
    return turn;
  }

  std::optional<Dialogue> source(int64_t i, Dice& dice) {
    const Verse* v = known_verse(size_t(i) % kForms, dice);
    if (!v) return {};
    Turn turn = source_of(*v, dice);
    return one_turn("source", std::move(turn.ask), std::move(turn.answer));
  }

  // Characters of different lines, one from each, in a row.
  std::optional<Dialogue> unknown_line(int64_t i, Dice& dice) {
    const size_t form = size_t(i) % kForms;
    if (verses_[form].size() == 0) return {};
    std::string line;
    for (int at = 0; at < kRegulatedForms[form].characters; ++at) {
      const std::vector<std::string> lines = verse(verses_[form].draw()).lines();
      const std::string& from = lines[dice.below(lines.size())];
      int character = int(dice.below(uint64_t(kRegulatedForms[form].characters)));
      for_each_character(from, [&](char32_t value) {
        if (character-- == 0) append_utf8(line, value);
      });
    }
    bool english = false;
    std::string request = ask("unknown_line", nullptr, -1, {{"line", line}}, dice, &english);
    return one_turn("unknown_line", std::move(request),
                    answer_to("unknown_line", english, {}, dice));
  }

  std::optional<Dialogue> word(int64_t, Dice& dice) {
    if (words_.size() == 0) return {};
    const WordEntry& entry = material_.words[size_t(words_.draw())];
    return one_turn("word", ask("word", nullptr, -1, {{"word", entry.word}}, dice),
                    entry.definition);
  }

  Turn talk_about(const Exchange& exchange, Dice& dice) {
    const Slots slots = {{"number", std::to_string(2 + dice.below(dice.chance(0.5) ? 98 : 9998))}};
    const bool english = !exchange.english.empty() && dice.chance(3 * config_.english_share);
    return {dice.pick(english ? exchange.english : exchange.ask).say(slots, dice),
            dice.pick(english ? exchange.answer_english : exchange.answer).say({}, dice)};
  }

  std::optional<Dialogue> talk(int64_t i, Dice& dice) {
    Turn turn = talk_about(templates_.talk()[size_t(i) % templates_.talk().size()], dice);
    return one_turn("talk", std::move(turn.ask), std::move(turn.answer));
  }

  // Another verse of this form about this topic, or null.
  const Verse* another(PoemForm form, int topic, const Verse* than, Dice& dice) {
    const auto list = about_.find({form, topic});
    if (list == about_.end()) return nullptr;
    for (int attempt = 0; attempt < 8; ++attempt) {
      const Verse* v = &verse(dice.pick(list->second));
      if (v != than) return v;
    }
    return nullptr;
  }

  std::optional<Dialogue> turns(int64_t i, Dice& dice) {
    Dialogue dialogue{"turns", {}};
    const auto say = [&](std::string request, std::string answer) {
      dialogue.messages.push_back({"user", std::move(request)});
      dialogue.messages.push_back({"assistant", std::move(answer)});
    };
    const uint64_t sort = dice.below(8);
    const size_t form = size_t(i) % kForms;
    if (sort == 0) {
      const Verse* v = draw(by_poets_[form]);
      const Verse* like = v ? draw(by_poets_[form],
                                   [&](const Verse& c) { return &c != v && c.author == v->author; })
                            : nullptr;
      if (!like) return {};
      Turn turn = source_of(*v, dice);
      say(std::move(turn.ask), std::move(turn.answer));
      say(ask("again_poet", like, -1, {}, dice), like->answer());
      return dialogue;
    }
    if (sort == 1) {
      if (words_.size() < 2) return {};
      for (const std::string_view section : {"word", "again_word"}) {
        const WordEntry& entry = material_.words[size_t(words_.draw())];
        say(ask(section, nullptr, -1, {{"word", entry.word}}, dice), entry.definition);
      }
      return dialogue;
    }
    if (sort == 2) {
      Turn turn = talk_about(dice.pick(templates_.talk()), dice);
      say(std::move(turn.ask), std::move(turn.answer));
    }
    const Verse* v = draw(verses_[form], [](const Verse& c) { return !c.topics.empty(); });
    if (!v) return {};
    const int topic = topic_of(*v, dice);
    say(ask("poem_form_topic", v, topic, {}, dice), v->answer());
    if (sort == 2 || sort == 3) {
      say(ask("whose_poem", nullptr, -1, {}, dice), answer_to("whose_poem", false, {}, dice));
    } else if (sort == 4 || sort == 5) {
      const Verse* next = another(v->form, topic, v, dice);
      if (next) say(ask("again_same", nullptr, -1, {}, dice), next->answer());
    } else if (sort == 6) {
      const PoemForm other = kRegulatedForms[(form + 1 + dice.below(kForms - 1)) % kForms].form;
      const Verse* next = another(other, topic, v, dice);
      if (next) say(ask("again_form", next, -1, {}, dice), next->answer());
    } else {
      const Verse* next =
          draw(verses_[form], [&](const Verse& c) { return &c != v && !c.topics.empty(); });
      if (next) say(ask("again_topic", next, topic_of(*next, dice), {}, dice), next->answer());
    }
    return dialogue;
  }

  const DialogueMaterial& material_;
  const DialogueTemplates& templates_;
  const DialogueConfig& config_;
  std::array<Deck, kForms> verses_, by_poets_;
  Deck lyrics_, lyrics_by_poets_, famous_, words_;
  std::map<std::pair<PoemForm, int>, std::vector<int>> about_;
  std::vector<int> uses_;  // how often each topic was asked for
};

}  // namespace

void make_dialogues(const DialogueMaterial& material, const DialogueTemplates& templates,
                    const DialogueConfig& config, const std::function<void(Dialogue&&)>& take) {
  DialogueMaker(material, templates, config).make(take);
}

Json dialogue_to_json(const Dialogue& dialogue) {
  Json messages = Json::array();
  for (const Message& message : dialogue.messages) {
    messages.push_back({{"role", message.role}, {"content", message.content}});
    if (!message.markup.empty()) messages.back()["markup"] = message.markup;
    if (!message.learn) messages.back()["learn"] = false;
  }
  return {{"kind", dialogue.kind}, {"messages", std::move(messages)}};
}

DialogueWriter::DialogueWriter(const fs::path& directory, uint64_t seed, double validation_share)
    : train_(directory / "train.jsonl.zst"),
      valid_(directory / "valid.jsonl.zst"),
      seed_(seed),
      validation_share_(validation_share) {}

void DialogueWriter::add(const Dialogue& dialogue) {
  const bool held_out = uniform(seed_, fnv1a("validation"), count_++) < validation_share_;
  (held_out ? valid_ : train_).write(dump_json(dialogue_to_json(dialogue)) + "\n");
  ++kinds_[dialogue.kind];
}

std::map<std::string, int64_t> DialogueWriter::finish() {
  train_.finish();
  valid_.finish();
  return std::move(kinds_);
}

std::map<std::string, int64_t> write_dialogues(const DialogueConfig& config,
                                               const fs::path& templates, const fs::path& prepared,
                                               const fs::path& out) {
  const DialogueTemplates sentences = DialogueTemplates::read(templates);
  const DialogueMaterial material = read_material(sentences, prepared);
  DialogueWriter writer(out, config.seed, config.validation_share);
  make_dialogues(material, sentences, config, [&](Dialogue&& dialogue) { writer.add(dialogue); });
  return writer.finish();
}

}  // namespace shenhong
