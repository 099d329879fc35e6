// Does a chat model keep the classical forms? It is asked for poems on topics that no training
// request named; what comes back is checked for form, rhyme and lines copied from the training set.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/line_index.h"
#include "data/poem.h"

namespace shenhong {

// The answer of a chat model to one user message; equal seeds give equal answers.
using Poet = std::function<std::string(const std::string& request, uint64_t seed)>;

struct PoemEvalOptions {
  int samples = 200;  // per form
  uint64_t seed = 1;
  int examples = 3;                           // poems per form that the result shows
  const LineIndex* training_lines = nullptr;  // null: "copied" is null in the result
  std::function<void(int done, int of)> progress = [](int, int) {};
};

struct PoemVerdict {
  bool form_ok = false;   // exactly the lines, and the characters in each line, of the form
  bool rhyme_ok = false;  // form_ok, and the even lines end in different characters that rhyme
  bool copied =
      false;  // holds a line of at least kShortestCopiedLine characters of the training set
};
PoemVerdict judge_poem(const std::string& answer, const FormShape& form,
                       const LineIndex* training_lines);

// Sample `i` of a form asks the i-th of these, over again when there are fewer than samples.
std::vector<std::string> poem_requests(const FormShape& form);

// {"rhyme_table": ..., "training_lines": n | null, "forms": {"五绝": {"samples", "form_ok",
// "rhyme_ok", "copied", "distinct", "examples"}, ...}}; shares are fractions of 1 of all samples.
Json eval_poems(const Poet& answer, const PoemEvalOptions& options);

}  // namespace shenhong
