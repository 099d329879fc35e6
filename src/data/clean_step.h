// The first step of prepare(): one corpus to cleaned documents and their signatures.
#pragma once

#include <string>
#include <vector>

#include "core/file.h"
#include "data/config.h"
#include "data/drop_counts.h"

namespace shenhong {

struct CleanCounts {
  int64_t read = 0;  // documents that the reader made
  int64_t kept = 0;
  DropCounts dropped;

  template <class Visit>
  void fields(Visit&& v) {
    v("read", read, "");
    v("kept", kept, "");
    v("dropped", dropped, "");
  }
};

// Writes DIRECTORY/cleaned.jsonl.zst and DIRECTORY/signatures.bin (one Signature per document, in
// order). Corpus text is read in batches of at most about `memory_bytes` / 16, for parsed JSON and
// its documents take several times the space of its bytes; one whole file is the least.
CleanCounts clean_source(const SourceConfig& source, const std::vector<fs::path>& files,
                         const fs::path& directory, int64_t memory_bytes, bool progress);

}  // namespace shenhong
