// Reading a corpus: files in, documents out, in an order that depends on their names alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/lines.h"
#include "data/config.h"
#include "data/document.h"

namespace shenhong {

// A part of a corpus that can be parsed by itself, on any thread: some lines of a .jsonl, or a
// file.
struct Chunk {
  fs::path file;
  int64_t first_line = 1;
  std::string bytes;
};

// The files that `path` (with *, ?, [..] and {a,b}) names below `root`, in the order of their
// bytes. Error(kBadInput) when there is none.
std::vector<fs::path> corpus_files(const SourceConfig& source, const fs::path& root);

class ChunkReader {
 public:
  ChunkReader(const SourceConfig& source, std::vector<fs::path> files)
      : by_lines_(source.format == "jsonl" || source.format == "pairs"), files_(std::move(files)) {}

  // Error(kBadInput) on a file that cannot be read, or that must be held whole and is too large.
  bool next(Chunk& chunk);

 private:
  bool next_lines(Chunk& chunk);
  void whole_file(Chunk& chunk);

  bool by_lines_;
  std::vector<fs::path> files_;
  size_t file_ = 0;
  std::optional<LineReader> lines_;
};

// The documents of a chunk, as the corpus spells them. Error(kBadInput) names file and line of what
// is broken, and the field that a record lacks.
std::vector<Document> parse_chunk(const SourceConfig& source, const Chunk& chunk);

// One reader per layout; `where` names the file in errors.
std::vector<Document> parse_poetry(const SourceConfig& source, const Json& json,
                                   const std::string& where);
std::vector<Document> parse_dictionary(const SourceConfig& source, const Json& json,
                                       const std::string& where);
// Appends what one record {title, book, pairs: [[classical, modern], ...]} yields.
void parse_pairs(const SourceConfig& source, const Json& record, const std::string& where,
                 std::vector<Document>& out);

}  // namespace shenhong
