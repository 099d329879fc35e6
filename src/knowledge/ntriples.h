// N-Triples and N-Quads, one line at a time (RDF 1.1 N-Triples and N-Quads, W3C 2014).
#pragma once

#include <string_view>

#include "knowledge/term.h"

namespace shenhong {

struct Statement {
  Term subject, predicate, object;
  Term graph;  // its value is empty when the line names none
};

enum class LineKind { kStatement, kNothing, kFault };

// Reads one line without its end. kNothing: blank or a comment. kFault: `fault` says what is wrong
// and at which byte, for the report; the line can be left out and the file goes on.
LineKind read_statement(std::string_view line, Statement& statement, std::string& fault);

// Reads the term that begins at text[at] and moves `at` behind it; nullptr, or what is wrong.
const char* read_term(std::string_view text, size_t& at, Term& term);

}  // namespace shenhong
