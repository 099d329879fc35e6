#include "knowledge/term.h"

#include <charconv>

#include "core/error.h"
#include "knowledge/ntriples.h"
#include "knowledge/vocabulary.h"

namespace shenhong {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Canonical N-Triples (RDF 1.1 N-Triples, section 4) escapes four characters and no more.
void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    switch (c) {
      case '\\':
        out += "\\\\";
        break;
      case '"':
        out += "\\\"";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      default:
        out += c;
    }
  }
}

}  // namespace

Term Term::integer(long long value) {
  return {Kind::kLiteral, std::to_string(value), "", std::string(iri::kInteger)};
}

std::optional<long long> Term::as_integer() const {
  if (!is_literal() || (datatype != iri::kInteger && datatype != iri::kYear)) return {};
  std::string_view digits = value;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  long long number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size()) return {};
  return number;
}

std::string term_text(const Term& term) {
  switch (term.kind) {
    case Term::Kind::kIri:
      return "<" + term.value + ">";
    case Term::Kind::kBlank:
      return "_:" + term.value;
    case Term::Kind::kLiteral:
      break;
  }
  std::string text = "\"";
  append_escaped(text, term.value);
  text += '"';
  if (!term.language.empty()) return text + "@" + term.language;
  if (!term.datatype.empty()) return text + "^^<" + term.datatype + ">";
  return text;
}

Term term_of_text(std::string_view text) {
  Term term;
  size_t at = 0;
  const char* fault = read_term(text, at, term);
  SH_CHECK(!fault && at == text.size(), kBadInput, "'{}': no RDF term: {}", text,
           fault ? fault : "something follows it");
  return term;
}

const char* iri_fault(std::string_view iri) {
  constexpr std::string_view kForbidden = "<>\"{}|^`\\";
  if (iri.empty() || !is_letter(iri[0])) return "an IRI begins with its scheme";
  const size_t colon = iri.find(':');
  if (colon == iri.npos) return "the IRI has no scheme";
  for (const char c : iri.substr(0, colon)) {
    if (!is_letter(c) && !is_digit(c) && c != '+' && c != '-' && c != '.')
      return "the IRI has no scheme";
  }
  for (const char c : iri) {
    if (uint8_t(c) <= 0x20 || c == 0x7F || kForbidden.find(c) != kForbidden.npos)
      return "the IRI holds a blank or one of <>\"{}|^`\\";
  }
  return nullptr;
}

bool is_language_tag(std::string_view tag) {
  size_t group = 0;
  bool first = true;
  for (const char c : tag) {
    if (c == '-') {
      if (group == 0) return false;
      group = 0;
      first = false;
    } else if (is_letter(c) || (!first && is_digit(c))) {
      if (++group > 8) return false;
    } else {
      return false;
    }
  }
  return group > 0;
}

}  // namespace shenhong
