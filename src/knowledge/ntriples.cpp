#include "knowledge/ntriples.h"

#include <fmt/format.h>

#include "text/utf8.h"

namespace shenhong {
namespace {

void skip_blanks(std::string_view text, size_t& at) {
  while (at < text.size() && (text[at] == ' ' || text[at] == '\t')) ++at;
}

// \uXXXX and \UXXXXXXXX; `at` stands behind the u.
const char* read_code_point(std::string_view text, size_t& at, int digits, std::string& out) {
  char32_t code = 0;
  for (int i = 0; i < digits; ++i, ++at) {
    if (at >= text.size()) return "the line ends in an escape";
    const char c = text[at];
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return "an escape holds something that is no hexadecimal digit";
    code = code << 4 | char32_t(digit);
  }
  if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000) || code == 0)
    return "an escape names no character";
  append_utf8(out, code);
  return nullptr;
}

const char* read_escape(std::string_view text, size_t& at, bool in_iri, std::string& out) {
  if (++at >= text.size()) return "the line ends in an escape";
  const char c = text[at++];
  if (c == 'u') return read_code_point(text, at, 4, out);
  if (c == 'U') return read_code_point(text, at, 8, out);
  constexpr std::string_view kNames = "tbnrf\"'\\", kValues = "\t\b\n\r\f\"'\\";
  const size_t known = kNames.find(c);
  if (in_iri || known == kNames.npos) return "an escape that N-Triples does not know";
  out += kValues[known];
  return nullptr;
}

const char* read_iri(std::string_view text, size_t& at, std::string& out) {
  out.clear();
  for (++at; at < text.size() && text[at] != '>';) {
    if (text[at] == '\\') {
      if (const char* fault = read_escape(text, at, true, out)) return fault;
    } else {
      out += text[at++];
    }
  }
  if (at >= text.size()) return "an IRI does not end";
  ++at;
  if (!is_valid_utf8(out)) return "the IRI is no UTF-8";
  return iri_fault(out);
}

const char* read_blank(std::string_view text, size_t& at, std::string& out) {
  out.clear();
  for (at += 2; at < text.size() && text[at] != ' ' && text[at] != '\t';) out += text[at++];
  // The full stop that ends the statement may stand right behind the label.
  while (out.ends_with('.')) {
    out.pop_back();
    --at;
  }
  if (out.empty()) return "a blank node has no label";
  return is_valid_utf8(out) ? nullptr : "the blank node's label is no UTF-8";
}

const char* read_literal(std::string_view text, size_t& at, Term& term) {
  term.value.clear();
  for (++at; at < text.size() && text[at] != '"';) {
    if (text[at] == '\\') {
      if (const char* fault = read_escape(text, at, false, term.value)) return fault;
    } else {
      term.value += text[at++];
    }
  }
  if (at >= text.size()) return "a literal does not end";
  ++at;
  if (!is_valid_utf8(term.value)) return "the literal is no UTF-8";
  if (at < text.size() && text[at] == '@') {
    const size_t begin = ++at;
    while (at < text.size() && (isalnum(uint8_t(text[at])) || text[at] == '-')) ++at;
    term.language = text.substr(begin, at - begin);
    if (!is_language_tag(term.language)) return "the language tag is none";
    for (char& c : term.language) c = char(tolower(uint8_t(c)));
  } else if (text.substr(at).starts_with("^^")) {
    at += 2;
    if (at >= text.size() || text[at] != '<') return "a datatype is no IRI";
    return read_iri(text, at, term.datatype);
  }
  return nullptr;
}

}  // namespace

const char* read_term(std::string_view text, size_t& at, Term& term) {
  term.language.clear();
  term.datatype.clear();
  if (at >= text.size()) return "a term is missing";
  if (text[at] == '<') {
    term.kind = Term::Kind::kIri;
    return read_iri(text, at, term.value);
  }
  if (text[at] == '"') {
    term.kind = Term::Kind::kLiteral;
    return read_literal(text, at, term);
  }
  if (text.substr(at).starts_with("_:")) {
    term.kind = Term::Kind::kBlank;
    return read_blank(text, at, term.value);
  }
  return "want <IRI>, \"literal\" or _:blank";
}

LineKind read_statement(std::string_view line, Statement& statement, std::string& fault) {
  size_t at = 0;
  const auto faulty = [&](const char* what) {
    fault = fmt::format("{} (byte {})", what, at + 1);
    return LineKind::kFault;
  };
  skip_blanks(line, at);
  if (at == line.size() || line[at] == '#') return LineKind::kNothing;
  for (Term* term : {&statement.subject, &statement.predicate, &statement.object}) {
    if (const char* what = read_term(line, at, *term)) return faulty(what);
    skip_blanks(line, at);
  }
  if (statement.subject.is_literal()) return faulty("the subject is a literal");
  if (statement.predicate.kind != Term::Kind::kIri) return faulty("the predicate is no IRI");
  statement.graph.value.clear();
  if (at < line.size() && (line[at] == '<' || line[at] == '_')) {
    if (const char* what = read_term(line, at, statement.graph)) return faulty(what);
    skip_blanks(line, at);
  }
  if (at >= line.size() || line[at] != '.')
    return faulty("the statement does not end with a full stop");
  ++at;
  skip_blanks(line, at);
  if (at < line.size() && line[at] != '#') return faulty("something follows the full stop");
  return LineKind::kStatement;
}

}  // namespace shenhong
