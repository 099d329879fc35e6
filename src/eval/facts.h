// How well a system answers from a graph, and whether it admits what the graph does not say:
// questions over invented worlds (knowledge/world.h) or a given graph, several systems side by
// side, deterministic grades.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/json.h"
#include "eval/fact_grade.h"
#include "grounding/grounded_answer.h"
#include "knowledge/ask.h"

namespace shenhong {

struct FactEvalOptions {
  std::vector<uint64_t> seeds = {1, 2, 3};  // of worlds, or of the questions about `graph`
  fs::path graph;                           // asked about instead of worlds; a copy of it is
  int questions = 100;                      // per kind, language and world
  int64_t people = 1500;
  Split split = Split::kTest;
  std::vector<std::string> arms = {"template", "closed-book", "auto", "strict"};
  std::string questions_file = "knowledge/questions.toml";
  std::string relations_file = "knowledge/relations.ttl";
  fs::path scratch;  // where the worlds' graphs are written; they are removed afterwards
  int examples = 1;  // wrong answers per arm and kind that the result shows
  std::function<void(int64_t done, int64_t of)> progress = [](int64_t, int64_t) {};
};

// {"arms": {ARM: {"kinds": {KIND: {"correct", "incorrect", "not_attempted"}}, "hallucination",
// "abstain_recall", "over_refusal", "citation_precision", "deleted_that_came_back",
// "counterfactual_followed", "hostile_copied", "calibration": [10 shares, by tenths of the
// confidence of answers that claim something], "per_answer": {...}, "examples"}}}; each share as
// {"share", "of", "low", "high"}, the ends of its 95 % interval.
Json eval_facts(Engine& engine, const FactEvalOptions& options);

// The same as a page of tables, in Markdown.
std::string facts_markdown(const Json& result);

}  // namespace shenhong
