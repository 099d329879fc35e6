#include "data/corpus.h"

#include <glob.h>

#include <algorithm>

#include "core/error.h"

namespace shenhong {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;
constexpr size_t kMaxWholeFile = size_t{256} << 20;

struct Globbed {
  glob_t found{};
  ~Globbed() { ::globfree(&found); }
};

std::string as_text(const Json& value, const std::string& where, const std::string& field) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number()) return dump_json(value);
  if (value.is_null()) return "";
  SH_CHECK(value.is_array(), kBadInput, "{}: field '{}' is {}: want a string or a list of strings",
           where, field, value.type_name());
  std::string lines;
  for (const Json& line : value) {
    SH_CHECK(line.is_string(), kBadInput, "{}: field '{}' is a list that holds {}: want strings",
             where, field, line.type_name());
    if (!lines.empty()) lines += '\n';
    lines += line.get<std::string>();
  }
  return lines;
}

// "《{title}》\n{text}" with the record's fields in place.
std::string fill(const std::string& pattern, const Json& record, const std::string& where) {
  std::string text;
  for (size_t at = 0; at < pattern.size();) {
    const size_t open = pattern.find('{', at);
    const size_t close = open == std::string::npos ? open : pattern.find('}', open);
    if (close == std::string::npos) return text + pattern.substr(at);
    text.append(pattern, at, open - at);
    const std::string field = pattern.substr(open + 1, close - open - 1);
    const auto value = record.find(field);
    if (value == record.end()) {
      std::string known;
      for (const auto& [key, ignored] : record.items()) known += (known.empty() ? "" : ", ") + key;
      fail(Exit::kBadInput, "{}: no field '{}'; the record has: {}", where, field, known);
    }
    text += as_text(*value, where, field);
    at = close + 1;
  }
  return text;
}

std::string id_of(const Json& record, const std::string& otherwise) {
  const auto id = record.find("id");
  return id != record.end() && id->is_string() ? id->get<std::string>() : otherwise;
}

void parse_record(const SourceConfig& source, const Json& record, const std::string& where,
                  const std::string& place, std::vector<Document>& out) {
  SH_CHECK(record.is_object(), kBadInput, "{}: want a JSON object, got {}", where,
           record.type_name());
  if (source.format == "pairs") return parse_pairs(source, record, where, out);
  Document document;
  document.id = id_of(record, place);
  document.text = fill(source.text, record, where);
  for (const char* name : {"title", "author", "dynasty", "kind", "book"})
    if (const auto found = record.find(name); found != record.end() && found->is_string())
      document.meta[name] = *found;
  out.push_back(std::move(document));
}

std::vector<Document> parse_lines(const SourceConfig& source, const Chunk& chunk) {
  std::vector<Document> documents;
  int64_t number = chunk.first_line;
  for (size_t at = 0; at < chunk.bytes.size(); ++number) {
    const size_t end = std::min(chunk.bytes.find('\n', at), chunk.bytes.size());
    const std::string_view line(chunk.bytes.data() + at, end - at);
    at = end + 1;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}:{}", chunk.file.string(), number);
    parse_record(source, parse_json(line, where), where,
                 fmt::format("{}:{}", chunk.file.filename().string(), number), documents);
  }
  return documents;
}

std::vector<Document> parse_text(const SourceConfig& source, const Chunk& chunk) {
  std::vector<Document> documents;
  const std::string name = chunk.file.filename().string();
  if (source.format == "text") {
    documents.push_back({.id = name, .source = {}, .text = chunk.bytes, .split_key = {}});
    return documents;
  }
  std::string text;
  int64_t line = 1, first = 1;
  const auto flush = [&] {
    if (!text.empty())
      documents.push_back(
          {.id = fmt::format("{}:{}", name, first), .source = {}, .text = text, .split_key = {}});
    text.clear();
    first = line + 1;
  };
  for (size_t at = 0; at < chunk.bytes.size(); ++line) {
    const size_t end = std::min(chunk.bytes.find('\n', at), chunk.bytes.size());
    const std::string_view bytes(chunk.bytes.data() + at, end - at);
    at = end + 1;
    if (bytes.find_first_not_of(" \t\r") == std::string_view::npos) {
      flush();
    } else {
      if (!text.empty()) text += '\n';
      text += bytes;
    }
  }
  flush();
  return documents;
}

}  // namespace

std::vector<fs::path> corpus_files(const SourceConfig& source, const fs::path& root) {
  const fs::path path = source.path;
  const std::string pattern = (path.is_absolute() ? path : root / path).string();
  Globbed files;
  const int failed = ::glob(pattern.c_str(), GLOB_BRACE | GLOB_NOSORT, nullptr, &files.found);
  SH_CHECK(failed != GLOB_NOSPACE, kResources, "{}: not enough memory to list the files", pattern);
  std::vector<std::string> names;
  for (size_t i = 0; i < files.found.gl_pathc; ++i) names.emplace_back(files.found.gl_pathv[i]);
  SH_CHECK(!names.empty(), kBadInput,
           "{}: source {}: there is no such file; setup/corpora.sh brings the texts of the recipes",
           pattern, source.name);
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return {names.begin(), names.end()};
}

bool ChunkReader::next(Chunk& chunk) {
  while (file_ < files_.size()) {
    if (!by_lines_) {
      whole_file(chunk);
      ++file_;
      return true;
    }
    if (!lines_) lines_.emplace(files_[file_]);
    if (next_lines(chunk)) return true;
    lines_.reset();
    ++file_;
  }
  return false;
}

bool ChunkReader::next_lines(Chunk& chunk) {
  chunk = {.file = files_[file_], .first_line = lines_->number() + 1, .bytes = {}};
  for (std::string line; chunk.bytes.size() < kChunkBytes && lines_->next(line);) {
    chunk.bytes += line;
    chunk.bytes += '\n';
  }
  return !chunk.bytes.empty();
}

void ChunkReader::whole_file(Chunk& chunk) {
  chunk = {.file = files_[file_], .first_line = 1, .bytes = {}};
  ByteReader reader(chunk.file);
  while (reader.append(chunk.bytes, kChunkBytes))
    SH_CHECK(chunk.bytes.size() <= kMaxWholeFile, kBadInput,
             "{}: larger than {} MiB, which only format = 'jsonl' reads piece by piece",
             chunk.file.string(), kMaxWholeFile >> 20);
}

std::vector<Document> parse_chunk(const SourceConfig& source, const Chunk& chunk) {
  std::vector<Document> documents;
  const std::string where = chunk.file.string();
  if (source.format == "text" || source.format == "paragraphs") {
    documents = parse_text(source, chunk);
  } else if (source.format == "jsonl" || source.format == "pairs") {
    documents = parse_lines(source, chunk);
  } else {
    const Json json = parse_json(chunk.bytes, where);
    if (source.format == "poetry") {
      documents = parse_poetry(source, json, where);
    } else if (source.format == "dictionary") {
      documents = parse_dictionary(source, json, where);
    } else {
      SH_CHECK(json.is_array(), kBadInput, "{}: want a list of objects, got {}", where,
               json.type_name());
      for (size_t i = 0; i < json.size(); ++i)
        parse_record(source, json[i], fmt::format("{}, record {}", where, i),
                     fmt::format("{}#{}", chunk.file.filename().string(), i), documents);
    }
  }
  for (Document& document : documents) document.source = source.name;
  return documents;
}

}  // namespace shenhong
