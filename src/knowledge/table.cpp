// Tables of facts as people keep them in spreadsheets.
#include <fmt/ranges.h>

#include <charconv>
#include <unordered_map>
#include <unordered_set>

#include "core/error.h"
#include "core/lines.h"
#include "knowledge/import.h"
#include "knowledge/relations.h"
#include "knowledge/vocabulary.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

// Fields of a line; CSV's "a ""b""" is unquoted. A quote that does not close is a fault.
const char* split(std::string_view line, char separator, std::vector<std::string>& fields) {
  fields.assign(1, "");
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (separator == ',' && c == '"') {
      if (quoted && i + 1 < line.size() && line[i + 1] == '"')
        fields.back() += line[++i];
      else
        quoted = !quoted;
    } else if (c == separator && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return quoted ? "a quotation mark does not close" : nullptr;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\r')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

// A name as the end of an IRI: blanks to _, what an IRI cannot hold as %XX.
std::string iri_of_name(std::string_view base, std::string_view name) {
  constexpr std::string_view kForbidden = "<>\"{}|^`\\%";
  std::string iri(base);
  for (const char c : name) {
    if (c == ' ')
      iri += '_';
    else if (uint8_t(c) < 0x20 || c == 0x7F || kForbidden.find(c) != kForbidden.npos)
      iri += fmt::format("%{:02X}", uint8_t(c));
    else
      iri += c;
  }
  return iri;
}

class TableReader {
 public:
  TableReader(Store& store, const FactSink& sink) : sink_(sink) {
    const Relations relations(store);
    for (const Relation& relation : relations.all()) {
      for (const std::string* label : {&relation.label_zh, &relation.label_en})
        if (!label->empty()) relations_.emplace(*label, std::pair(relation.iri, relation.question));
    }
  }

  void line(int64_t number, std::string_view text, char separator,
            const std::string& default_source) {
    if (const char* fault = split(text, separator, fields_))
      return sink_.reject(number, fault, text);
    row(number, text, default_source);
  }

  // `fields_` as the columns of the table; `text` is what a reject shows.
  void row(int64_t number, std::string_view text, const std::string& default_source) {
    for (std::string& field : fields_) field = trimmed(field);
    if (fields_.size() < 3 || fields_.size() > 7)
      return sink_.reject(number, fmt::format("{} fields, want 3 to 7", fields_.size()), text);
    fields_.resize(7);
    if (fields_[0].empty() || fields_[1].empty() || fields_[2].empty())
      return sink_.reject(number, "subject, predicate or object is empty", text);
    if (!is_valid_utf8(text)) return sink_.reject(number, "no UTF-8", text);
    Provenance provenance{fields_[3].empty() ? default_source : fields_[3], 1, fields_[5],
                          fields_[6]};
    if (!fields_[4].empty()) {
      const std::string& f = fields_[4];
      const auto [end, error] =
          std::from_chars(f.data(), f.data() + f.size(), provenance.confidence);
      if (error != std::errc() || end != f.data() + f.size() ||
          !(provenance.confidence >= 0 && provenance.confidence <= 1))
        return sink_.reject(number, fmt::format("confidence '{}': want a number from 0 to 1", f),
                            text);
    }
    provenance_ = &provenance;
    Term relation;
    std::string question;
    if (const char* fault = read_relation(fields_[1], relation, question))
      return sink_.reject(number, fault, text);
    Term subject, object;
    if (const char* fault = read_node(fields_[0], true, subject))
      return sink_.reject(number, fault, text);
    const bool entity = question == "谁" || question == "何处";
    if (const char* fault = read_node(fields_[2], entity, object))
      return sink_.reject(number, fault, text);
    sink_.add({subject, relation, object, {}}, provenance);
  }

  void read_fields(std::vector<std::string> fields, const std::string& default_source) {
    const std::string text = fmt::format("{}", fmt::join(fields, "\t"));
    fields_ = std::move(fields);
    row(1, text, default_source);
  }

 private:
  void label(const Term& of, std::string_view predicate, std::string text) {
    const std::string tag(language_tag(language_of(text)));
    sink_.add({of, Term::iri(std::string(predicate)), Term::text(std::move(text), tag), {}},
              *provenance_);
  }

  const char* explicit_term(std::string_view text, Term& term) {
    size_t at = 0;
    const char* fault = read_term(text, at, term);
    if (fault) return fault;
    return at == text.size() ? nullptr : "something follows the term";
  }

  // An entity by its name; 姚明[董事长] is called 姚明 and, to tell it apart, 姚明[董事长].
  const char* read_node(const std::string& text, bool entity, Term& term) {
    if (text[0] == '<' || text[0] == '"') return explicit_term(text, term);
    if (!entity) {
      long long number = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      const bool whole = error == std::errc() && end == text.data() + text.size();
      term = whole ? Term::integer(number)
                   : Term::text(text, std::string(language_tag(language_of(text))));
      return nullptr;
    }
    term = Term::iri(iri_of_name(iri::kEntityBase, text));
    if (!named_.insert(text).second) return nullptr;
    const size_t bracket = text.find('[');
    if (bracket != text.npos && bracket > 0 && text.ends_with(']')) {
      label(term, iri::kLabel, text.substr(0, bracket));
      label(term, iri::kAltLabel, text);
    } else {
      label(term, iri::kLabel, text);
    }
    return nullptr;
  }

  // A relation by the name that the graph gives it; a new name becomes a new relation.
  const char* read_relation(const std::string& text, Term& term, std::string& question) {
    if (text[0] == '<') return explicit_term(text, term);
    const auto known = relations_.find(text);
    if (known != relations_.end()) {
      term = Term::iri(known->second.first);
      question = known->second.second;
      return nullptr;
    }
    term = Term::iri(iri_of_name(iri::kRelationBase, text));
    relations_.emplace(text, std::pair(term.value, "何物"));
    label(term, iri::kLabel, text);
    sink_.add({term, Term::iri(std::string(iri::kQuestion)), Term::text("何物"), {}}, *provenance_);
    return nullptr;
  }

  const FactSink& sink_;
  const Provenance* provenance_ = nullptr;
  std::unordered_map<std::string, std::pair<std::string, std::string>>
      relations_;  // label -> IRI, question
  std::unordered_set<std::string> named_;
  std::vector<std::string> fields_;
};

}  // namespace

void read_row(std::vector<std::string> fields, const std::string& default_source, Store& store,
              const FactSink& sink) {
  TableReader(store, sink).read_fields(std::move(fields), default_source);
}

void read_table(const fs::path& file, char separator, const std::string& default_source,
                Store& store, const FactSink& sink) {
  TableReader table(store, sink);
  LineReader reader(file);
  std::string line;
  while (reader.next(line)) {
    std::string_view text = line;
    if (reader.number() == 1 && text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    const bool heading =
        reader.number() == 1 &&
        (text.starts_with("s" + std::string(1, separator)) || text.starts_with("subject"));
    if (text.empty() || text[0] == '#' || heading) continue;
    table.line(reader.number(), text, separator, default_source);
  }
}

}  // namespace shenhong
