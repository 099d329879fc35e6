// Whether an answer to a question about a graph is right: by rules alone, so that anyone gets the
// same grade.
#pragma once

#include <string>

#include "knowledge/linker.h"
#include "knowledge/quiz.h"

namespace shenhong {

enum class Grade { kCorrect, kIncorrect, kNotAttempted };

// Not attempted: the text says that it does not answer; where nothing can be answered, also without
// claims beside that (`claims`: citations given). Correct: the answer holds a value that answers
// the question, and neither another name of the graph nor another number; citations do not count as
// numbers. What cannot be answered is incorrect unless it is not attempted; silence is no
// admission.
Grade grade_answer(const QuizQuestion& question, const std::string& text, size_t claims,
                   const Linker& linker);

// A share and its Wilson interval of 95 %.
struct Share {
  int64_t hits = 0, of = 0;
  double value() const { return of > 0 ? double(hits) / double(of) : 0; }
  std::pair<double, double> interval() const;
  void count(bool hit) {
    hits += hit;
    ++of;
  }
  void operator+=(const Share& other) {
    hits += other.hits;
    of += other.of;
  }
};

}  // namespace shenhong
