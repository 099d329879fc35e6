// What a recipe's [data] section says.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/fields.h"

namespace shenhong {

// One [[data.sources]] entry: where texts come from, how they are read, and what is kept.
struct SourceConfig {
  std::string name;
  std::string path;
  std::string format = "jsonl";
  std::string text = "{text}";
  std::vector<std::string> emit = {"modern", "classical"};
  std::string kind, book, dynasty;
  bool simplify = false;
  bool half_width = false;
  double weight = 1;
  int64_t min_chars = 1;
  int64_t max_chars = 0;
  double min_han_share = 0;
  double max_repeated_lines = 1;
  std::vector<std::string> unwanted;
  double validation_share = -1;

  template <class Visit>
  void fields(Visit&& v) {
    v("name", name, "directory of the source in the output; letters, digits, '-' and '_'");
    v("path", path, "file or glob pattern, relative to the root; .zst is unpacked on the way");
    v("format", format, "text | paragraphs | json | jsonl | poetry | pairs | dictionary");
    v("text", text,
      "json, jsonl: the document's text, with {field} in place of the record's fields");
    v("emit", emit, "pairs: documents made of a record: modern | classical | paired");
    v("kind", kind, "poetry: what the pieces are, such as 诗, 词, 曲");
    v("book", book, "poetry: the collection, put before the pieces' own titles");
    v("dynasty", dynasty, "poetry: of all authors whose record names none, such as 唐");
    v("simplify", simplify, "traditional characters to simplified");
    v("half_width", half_width, "full-width letters and digits to ASCII");
    v("weight", weight, "how often training sees the source, relative to the others");
    v("min_chars", min_chars,
      "shorter documents are dropped (characters, white space not counted)");
    v("max_chars", max_chars, "longer documents are dropped; 0: no limit");
    v("min_han_share", min_han_share, "share of Han characters among letters and digits");
    v("max_repeated_lines", max_repeated_lines,
      "largest share of lines that repeat an earlier one");
    v("unwanted", unwanted, "documents that contain one of these strings are dropped");
    v("validation_share", validation_share, "overrides that of [data]; negative: does not");
  }
};

struct DataConfig {
  std::vector<SourceConfig> sources;
  int vocab_size = 8192;
  int max_han_per_token = 2;
  double tokenizer_sample_mib = 48;
  double validation_share = 0.01;
  double near_duplicate = 0.8;
  int64_t memory_mib = 1024;
  uint64_t seed = 1;

  template <class Visit>
  void fields(Visit&& v) {
    v("sources", sources, "the corpora, one table each");
    v("vocab_size", vocab_size, "tokens of the tokenizer, special tokens included");
    v("max_han_per_token", max_han_per_token,
      "longest Han run that becomes one token; 0: no limit");
    v("tokenizer_sample_mib", tokenizer_sample_mib, "text that the tokenizer is trained on");
    v("validation_share", validation_share, "share of documents held out for validation");
    v("near_duplicate", near_duplicate,
      "Jaccard similarity from which a document is a copy; 0: off");
    v("memory_mib", memory_mib, "bound on the memory that grows with the corpus");
    v("seed", seed, "of the tokenizer's sample");
  }
};

// So that a list of sources is a field like any other; unknown keys are errors.
void to_json(Json& json, const SourceConfig& source);
void from_json(const Json& json, SourceConfig& source);

// The section, checked: names, formats, ranges. Error(kUsage) names the source, the value, the
// limit.
DataConfig data_config_from_json(const Json& json, const std::string& where);
void check(const DataConfig& config, const std::string& where);

}  // namespace shenhong
