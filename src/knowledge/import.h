// Files of facts into the store. Every import is one batch; a bad line is counted, written to a
// file of rejects beside the store with its number and its fault, and never ends the import.
//
//   nt, nq   N-Triples, N-Quads, also .zst; a quad's graph names the facts' source
//   ttl      Turtle, through serd; a dcterms:source names the source of the facts of its statement
//   tsv,csv  s, p, o and, if there, source, confidence, from, to: names as people write them, or
//   <IRI>, or
//            "text"@zh. Names become entities and relations with these labels; an object is an
//            entity when its relation asks 谁 or 何处 (knowledge/relations.ttl) or when it is an
//            <IRI>, else a text
//   jsonld   expanded or flattened: a list of nodes, without @context
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "knowledge/ntriples.h"
#include "knowledge/store.h"

namespace shenhong {

struct ImportOptions {
  std::string format;                   // empty: by the file's name
  Source source;                        // of what names none itself; an empty name: the file's
  std::vector<std::string> languages;   // keep texts in these and without a language; empty: all
  std::vector<std::string> properties;  // keep these IRIs; empty: all
  bool progress = true;
};

struct ImportReport {
  int64_t batch = 0, read = 0, added = 0, known = 0, retracted_before = 0, filtered = 0,
          rejected = 0;
  fs::path rejects;  // empty: none
  double seconds = 0;
};

// `file` may be "-", standard input, for pipes from unpackers; then the format must be given.
ImportReport import_file(Store& store, const fs::path& file, const ImportOptions& options);

Json report_to_json(const ImportReport& report);

// What the readers of the formats hand over.
struct FactSink {
  std::function<void(const Statement&, const Provenance&)> add;
  std::function<void(int64_t line, std::string_view fault, std::string_view text)> reject;
};

void read_ntriples(const fs::path& file, const std::string& default_source, const FactSink& sink);
void read_turtle(const fs::path& file, const std::string& default_source, const FactSink& sink);
void read_table(const fs::path& file, char separator, const std::string& default_source,
                Store& store, const FactSink& sink);
// One row of a table, its fields given one by one.
void read_row(std::vector<std::string> fields, const std::string& default_source, Store& store,
              const FactSink& sink);
void read_jsonld(const fs::path& file, const std::string& default_source, const FactSink& sink);

}  // namespace shenhong
