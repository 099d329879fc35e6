// Answers a question from the graph alone, without a model: link, find the relation asked for, look
// up, say it in a sentence with citations, or abstain and name what is missing. The baseline that a
// model has to beat, and the fall-back when none is loaded.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "knowledge/graph.h"

namespace shenhong {

enum class Decision {
  kRetrieved,  // the graph's facts answer
  kAbstained,  // the entity is known and the asked fact is not there, or nothing is known
  kAmbiguous,  // several bearers of the name could be meant
};

struct Citation {
  size_t begin = 0, end = 0;  // code points of the answer: the [n] itself
  size_t said = 0;            // bytes of the answer before it
  std::vector<Fact> facts;    // one, or two for a chain; the last states what was said
};

struct Answer {
  Decision decision = Decision::kAbstained;
  std::string text;
  std::vector<Citation> citations;  // [1], [2], ...
  std::vector<TermId> entities;     // that the question names; to be carried into the next turn
  int64_t look_ups = 0;
};

struct AskOptions {
  int max_facts = 8;   // values named for one relation
  std::string as_of;   // a date or year: facts that do not hold then are left out; empty: now, all
  TermId carried = 0;  // whom the last turn was about, for a question without a name; 0: nobody
};

class Asker {
 public:
  explicit Asker(Graph& graph)
      : store_(graph.store),
        linker_(graph.linker),
        relations_(graph.relations),
        look_up_(graph.look_up) {}

  Answer ask(std::string_view question, const AskOptions& options = {});

  // {"decision", "answer", "citations": [{"index", "start_index", "end_index", "facts": [...]}],
  // ...}
  Json to_json(const Answer& answer, Language language);

 private:
  std::vector<Mention> mentions_of(const FoldedText& folded, std::string_view question,
                                   const AskOptions& options) const;
  bool say_path(TermId entity, const std::vector<Direction>& path, Language language,
                const AskOptions& options, Answer& answer);
  bool try_path(const Mention& mention, const std::vector<Direction>& path, Language language,
                const AskOptions& options, Answer& answer);
  bool describe(TermId entity, Language language, const AskOptions& options, Answer& answer);
  void abstain(TermId entity, Direction missing, Language language, Answer& answer);

  Store& store_;
  const Linker& linker_;
  const Relations& relations_;
  LookUp& look_up_;
};

}  // namespace shenhong
