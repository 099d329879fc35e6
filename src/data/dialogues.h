// Chat-tuning dialogues made from the corpora: what is asked comes from recipes/dialogues.toml,
// what is answered from poems, lyrics and the dictionary. The same seed, templates and documents
// give the same dialogues.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/fields.h"
#include "core/file.h"
#include "core/lines.h"
#include "data/dialogue_material.h"
#include "data/dialogue_templates.h"
#include "text/chat_template.h"

namespace shenhong {

struct Dialogue {
  std::string kind;  // the section of the first request, "talk", or "turns" for several turns
  std::vector<Message> messages;
};

// How many dialogues of each sort.
struct DialogueConfig {
  int64_t poems = 112000;
  int64_t lyrics = 9000;
  int64_t continuations = 14000;
  int64_t neighbours = 12000;
  int64_t sources = 8000;
  int64_t unknown_lines = 3000;
  int64_t words = 20000;
  int64_t talk = 14000;
  int64_t turns = 16000;
  double english_share = 0.08;
  double validation_share = 0.005;
  uint64_t seed = 1;

  template <class Visit>
  void fields(Visit&& v) {
    v("poems", poems,
      "poems asked for by form, topic, title or poet; the four forms in equal shares");
    v("lyrics", lyrics, "lyrics (词) asked for by tune");
    v("continuations", continuations, "poems to finish from their first line or couplet");
    v("neighbours", neighbours, "questions for the next or previous line");
    v("sources", sources, "questions for author, dynasty and title of a line");
    v("unknown_lines", unknown_lines, "the same of lines that nobody wrote");
    v("words", words, "words and idioms to explain");
    v("talk", talk, "greetings, identity, abilities, limits");
    v("turns", turns, "dialogues of several turns");
    v("english_share", english_share,
      "share of requests in English where there is an English form");
    v("validation_share", validation_share, "share of dialogues kept for validation");
    v("seed", seed, "of all choices");
  }
};

// Calls `take` for each dialogue. Kinds for which the material holds nothing are left out.
void make_dialogues(const DialogueMaterial& material, const DialogueTemplates& templates,
                    const DialogueConfig& config, const std::function<void(Dialogue&&)>& take);

// {"kind": ..., "messages": [{"role": ..., "content": ..., "markup": [[begin, end], ...], "learn":
// false},
// ...]}; the last two only where they say something.
Json dialogue_to_json(const Dialogue& dialogue);

// DIR/train.jsonl.zst and DIR/valid.jsonl.zst; a dialogue's place in the sequence tells its side.
class DialogueWriter {
 public:
  DialogueWriter(const fs::path& directory, uint64_t seed, double validation_share);
  void add(const Dialogue& dialogue);
  std::map<std::string, int64_t> finish();  // the dialogues per kind

 private:
  ZstdWriter train_, valid_;
  std::map<std::string, int64_t> kinds_;
  uint64_t seed_, count_ = 0;
  double validation_share_;
};

// Writes OUT/train.jsonl.zst and OUT/valid.jsonl.zst from the output of `shenhong data`; returns
// the dialogues per kind.
std::map<std::string, int64_t> write_dialogues(const DialogueConfig& config,
                                               const fs::path& templates, const fs::path& prepared,
                                               const fs::path& out);

}  // namespace shenhong
