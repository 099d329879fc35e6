#include "knowledge/export.h"

#include "core/error.h"
#include "knowledge/vocabulary.h"

namespace shenhong {
namespace {

constexpr std::string_view kSourceBase = "urn:shenhong:source:";

std::string source_iri(std::string_view name) {
  if (!iri_fault(name)) return std::string(name);
  std::string iri(kSourceBase);
  for (const char c : name) {
    const bool plain = (uint8_t(c) > 0x20 && c != 0x7F &&
                        std::string_view("<>\"{}|^`\\%").find(c) == std::string_view::npos);
    iri += plain ? std::string(1, c) : fmt::format("%{:02X}", uint8_t(c));
  }
  return iri;
}

// A field of the table: tabs and line ends cannot stand in one; terms escape the latter themselves.
std::string field(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c == '\t' || c == '\n' || c == '\r') c = ' ';
  return out;
}

std::string term_field(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '\t' ? std::string("\\t") : std::string(1, c);
  return out;
}

Json json_of(const Term& term) {
  if (term.kind == Term::Kind::kBlank) return {{"@id", "_:" + term.value}};
  if (term.kind == Term::Kind::kIri) return {{"@id", term.value}};
  Json out = {{"@value", term.value}};
  if (!term.language.empty()) out["@language"] = term.language;
  if (!term.datatype.empty()) out["@type"] = term.datatype;
  return out;
}

void export_jsonld(Store& store, const std::function<void(std::string_view)>& write) {
  std::string subject;
  Json node;
  bool first = true;
  const auto flush = [&] {
    if (node.is_null()) return;
    write((first ? "\n" : ",\n") + dump_json(node));
    first = false;
  };
  write("[");
  store.for_each_row([&](const Store::Row& row) {
    if (row.subject != subject) {
      flush();
      subject = row.subject;
      node = {{"@id", json_of(term_of_text(row.subject))["@id"]}};
    }
    const Json object = json_of(term_of_text(row.object));
    Json& values = node[term_of_text(row.predicate).value];
    // Two sources of one fact make one value.
    if (values.is_null() || values.back() != object) values.push_back(object);
  });
  flush();
  write("\n]\n");
}

}  // namespace

ExportFormat export_format(std::string_view name) {
  if (name == "nq") return ExportFormat::kNQuads;
  if (name == "tsv") return ExportFormat::kTable;
  if (name == "jsonld") return ExportFormat::kJsonLd;
  fail(Exit::kUsage, "export format '{}': known are nq, tsv, jsonld", name);
}

void export_facts(Store& store, ExportFormat format,
                  const std::function<void(std::string_view)>& write) {
  if (format == ExportFormat::kJsonLd) return export_jsonld(store, write);
  if (format == ExportFormat::kTable) write("s\tp\to\tsource\tconfidence\tfrom\tto\n");
  store.for_each_row([&](const Store::Row& row) {
    if (format == ExportFormat::kNQuads) {
      write(fmt::format("{} {} {} <{}> .\n", row.subject, row.predicate, row.object,
                        source_iri(row.source)));
    } else {
      write(fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\n", row.subject, row.predicate,
                        term_field(row.object), field(row.source), row.confidence,
                        field(row.valid_from), field(row.valid_to)));
    }
  });
}

}  // namespace shenhong
