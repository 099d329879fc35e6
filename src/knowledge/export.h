// The live facts as text, ordered by subject, predicate, object and source, so that equal graphs
// give equal bytes whatever the order of their imports.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "knowledge/store.h"

namespace shenhong {

enum class ExportFormat {
  kNQuads,  // the graph's name is the source: its IRI, or urn:shenhong:source:NAME
  kTable,  // all that is known of a fact, in the columns that import reads: s p o source confidence
           // from to
  kJsonLd,  // flattened; terms only
};

// Error(kUsage) lists the known names: nq, tsv, jsonld.
ExportFormat export_format(std::string_view name);

// Calls `write` with pieces of the text.
void export_facts(Store& store, ExportFormat format,
                  const std::function<void(std::string_view)>& write);

}  // namespace shenhong
