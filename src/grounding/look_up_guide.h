// Writes along where an answer needs a fact (docs/architecture.md, One fact through an answer): the
// model says whom and what to ask, in names that the graph knows; the graph's value, its citation,
// or that there is none, is written by us. grounding/lookup_text.h shows the form.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grounding/span_choice.h"
#include "infer/engine.h"
#include "infer/guide.h"
#include "knowledge/graph.h"

namespace shenhong {

enum class GroundingMode {
  kOff,     // nothing is looked up
  kAuto,    // the model says when
  kAlways,  // whenever the question names something that the graph knows
  kStrict,  // as always; and it must be surer of having understood
};
std::optional<GroundingMode> grounding_mode_of(std::string_view name);  // off, auto, always, strict
std::string_view grounding_mode_name(GroundingMode mode);

struct GroundingOptions {
  GroundingMode mode = GroundingMode::kAuto;
  int max_facts = 8;       // values said of one relation
  std::string as_of = {};  // a date or year; empty: at any time
};

enum class GroundingDecision { kClosedBook, kRetrieved, kAbstained, kAmbiguous };
std::string_view grounding_decision_name(GroundingDecision decision);

// A [n] of the answer, and the fact that it stands for.
struct CitedFact {
  size_t begin = 0, end = 0;  // bytes of the answer
  Fact fact;
  std::string subject, relation, object;  // in the answer's language
};

// What was asked of the graph.
struct GraphQuery {
  std::string entity, label;
  bool inverse = false, found = false;
  bool doubtful = false;   // not asked: the model was not sure enough
  double probability = 0;  // of the query under the model
};

struct GroundingTrace {
  GroundingDecision decision = GroundingDecision::kClosedBook;
  std::vector<GraphQuery> queries;
  std::vector<CitedFact> citations;
  int64_t look_ups = 0;           // keys that were looked up, also to check a sentence
  int64_t fact_tokens = 0;        // tokens of values, read and not drawn
  double seconds = 0;             // for all that: linking, reading, writing
  std::string backend = "local";  // local; how the attached endpoint answered: ok, timeout, ...; or
                                  // why the graph cannot be read
};

class LookUpGuide : public Guide {
 public:
  // Everything must outlive the guide. Answers that are made at the same time may share the graph.
  // Error(kUsage) when the model's vocabulary has no tokens for look-ups.
  LookUpGuide(Graph& graph, const Engine& engine, const std::vector<Message>& conversation,
              GroundingOptions options);

  std::optional<Writing> write(std::span<const float> logits, size_t shown, size_t room) override;
  void drew(int id) override;
  std::span<const int> banned() const override { return engine_.look_up_tokens(); }

  const GroundingTrace& trace() const { return trace_; }

 private:
  enum class State { kBefore, kEntity, kRelation, kAfter };
  struct Tokens {
    int entity, relation, value, end, null;
  };
  struct Found;
  // What may be asked for; several relations may be called the same. The label says which way.
  struct Label {
    std::string text;
    std::vector<Direction> directions;
  };

  void add_name(const std::string& spelling);
  std::vector<bool> possible_labels();
  bool wants_look_up(std::span<const float> logits) const;
  Writing begin_look_up();
  Writing go_on(std::span<const float> logits);  // after a look-up: greedy, as it was trained
  int after_value(std::span<const float> logits);
  Writing answer(size_t shown, size_t room);
  std::optional<Writing> check_draft(std::span<const float> logits, size_t shown, size_t room);
  std::optional<Writing> judge(const Label& label, const std::string& name,
                               const std::string& value, size_t shown, size_t room);
  Writing correct(Found found, size_t shown, size_t room);
  void remember(const Value& value, Direction direction);
  std::string mended(std::string entity) const;
  std::vector<Candidate> bearers_of(std::string_view entity) const;
  std::vector<Found> find(std::string_view entity, std::string_view label);
  Writing say_found(const Found& found, size_t shown, size_t room, bool begins = true);
  Writing say_ambiguous(const std::vector<Found>& found, size_t shown);
  Writing say_nothing(bool broken);
  std::string cite(const std::vector<Value>& values, const Found& found, size_t at);
  std::string text_of(const std::vector<int>& tokens) const;
  std::string shown_and_short(std::string_view value) const;

  Graph& graph_;
  const Engine& engine_;
  const GroundingOptions options_;
  Tokens tokens_;
  std::vector<bool> special_;            // by id
  std::vector<std::vector<int>> names_;  // that may be asked for
  std::vector<Label> labels_;
  std::vector<std::vector<int>> label_tokens_;
  FoldedText question_;                      // the last turn
  std::vector<std::string> question_names_;  // that it holds, none inside another
  std::map<std::string, TermId> said_;       // values of this answer, by their text
  State state_ = State::kBefore;
  std::optional<Language> value_said_;  // right before
  std::optional<SpanChoice> span_;
  GraphQuery query_;
  StreamDecoder decoder_;
  StreamDecoder draft_decoder_;
  std::string draft_;  // the sentence that the model is saying, without what a look-up wrote
  GroundingTrace trace_;
};

}  // namespace shenhong
