// The work of `shenhong data`: corpora -> clean, deduplicated documents -> tokenizer -> token
// shards.
//
//   OUT/SOURCE/{train,valid}.jsonl.zst   documents that survived, with what is known of them
//   OUT/tokenizer.json                   trained on a weighted sample of the training documents
//   OUT/SOURCE/{train,valid}-NNNNN.tok   token shards
//   OUT/report.json, OUT/report.md       per source: documents, characters, tokens, dropped and why
//
// Every step leaves a marker with the hash of all that went into it (settings, input bytes, earlier
// steps). A step whose marker fits is not done again, so a run that was killed goes on, and the
// same input gives the same bytes on any number of threads.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "data/config.h"
#include "data/drop_counts.h"

namespace shenhong {

struct SourceReport {
  std::string source;
  int64_t read = 0;  // documents that the reader made
  DropCounts dropped;
  int64_t train_documents = 0, valid_documents = 0;
  int64_t characters = 0, han = 0, bytes = 0;  // of the documents kept, both splits
  int64_t train_tokens = 0, valid_tokens = 0;

  template <class Visit>
  void fields(Visit&& v) {
    v("source", source, "");
    v("read", read, "");
    v("dropped", dropped, "");
    v("train_documents", train_documents, "");
    v("valid_documents", valid_documents, "");
    v("characters", characters, "");
    v("han", han, "");
    v("bytes", bytes, "");
    v("train_tokens", train_tokens, "");
    v("valid_tokens", valid_tokens, "");
  }
};

struct PrepareOptions {
  fs::path root = ".";  // relative source paths start here
  fs::path out;
  bool progress = true;
  // Called after every step that was done (not for those found done). It may throw to stop the run;
  // the next run goes on from there.
  std::function<void(const std::string& step)> after_step;
};

struct DataReport {
  std::vector<SourceReport> sources;  // in the order of the recipe
  int vocab_size = 0;
};

// Error(kBadInput) for a missing or broken corpus, Error(kUsage) for contradictory settings.
DataReport prepare(const DataConfig& config, const PrepareOptions& options);

Json report_json(const DataReport& report);
std::string report_markdown(const DataReport& report);

}  // namespace shenhong
