// RDF terms. A term's text is its canonical N-Triples form, and that text is what the store keeps:
// <urn:x>, "李白"@zh, "701"^^<http://www.w3.org/2001/XMLSchema#integer>, _:b0.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace shenhong {

struct Term {
  enum class Kind { kIri, kBlank, kLiteral };
  Kind kind = Kind::kIri;
  std::string value;     // the IRI, the blank node's label, or the literal's characters
  std::string language;  // of a literal, lower case; empty: none
  std::string datatype;  // of a literal, an IRI; empty: plain text
  bool operator==(const Term&) const = default;

  static Term iri(std::string value) { return {Kind::kIri, std::move(value), "", ""}; }
  static Term text(std::string value, std::string language = "") {
    return {Kind::kLiteral, std::move(value), std::move(language), ""};
  }
  static Term integer(long long value);

  bool is_literal() const { return kind == Kind::kLiteral; }
  std::optional<long long> as_integer() const;  // of an xsd:integer or xsd:gYear
};

std::string term_text(const Term& term);

// The inverse of term_text. Error(kBadInput) on text that is no term.
Term term_of_text(std::string_view text);

// Why an IRI cannot be one (empty, a blank, <>"{}|^` or a backslash, no scheme), or nullptr.
const char* iri_fault(std::string_view iri);

// zh, en-GB: letters and digits in groups of at most 8, joined by hyphens.
bool is_language_tag(std::string_view tag);

}  // namespace shenhong
