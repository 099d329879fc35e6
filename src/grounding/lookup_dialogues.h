// Dialogues in which the assistant looks facts up, for chat tuning: over an invented world, so that
// nothing can be learnt by heart, and over a graph of real things.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/fields.h"
#include "core/file.h"

namespace shenhong {

struct LookupConfig {
  std::vector<std::string>
      graph;  // files of the real graph, its relations described; empty: no look-ups
  std::string questions = "knowledge/questions.toml";
  int64_t world = 50000;
  int64_t real = 35000;
  int64_t poems = 10000;
  int64_t people = 4000;
  double english_share = 0.4;
  double turns_share = 0.12;
  double hostile_share = 0.03;
  double validation_share = 0.005;
  uint64_t seed = 1000;

  template <class Visit>
  void fields(Visit&& v) {
    v("graph", graph, "files of a graph that describes its relations");
    v("questions", questions, "how its relations are asked for");
    v("world", world, "questions about an invented world");
    v("real", real, "questions about the graph");
    v("poems", poems, "poems about a thing of the graph, with a question about it");
    v("people", people, "size of the invented world");
    v("english_share", english_share, "share of English");
    v("turns_share", turns_share, "share of questions that a second one follows");
    v("hostile_share", hostile_share, "share of values that look like orders or markup");
    v("validation_share", validation_share, "share kept for validation");
    v("seed", seed, "of the world and all choices; worlds of other seeds are for tests");
  }
};

// Writes OUT/train.jsonl.zst and OUT/valid.jsonl.zst, and the graphs beside them; returns the
// dialogues per kind. Poems come from the output of `shenhong data`, in `prepared`.
std::map<std::string, int64_t> write_lookup_dialogues(const LookupConfig& config,
                                                      const fs::path& dialogue_templates,
                                                      const fs::path& prepared,
                                                      const fs::path& out);

}  // namespace shenhong
