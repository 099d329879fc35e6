#include "data/document.h"

#include "core/error.h"
#include "core/lines.h"
#include "core/parallel.h"

namespace shenhong {
namespace {

// Enough to keep all threads busy, little enough to stay far below any memory bound.
constexpr size_t kBatchBytes = size_t{4} << 20;

std::string text_field(const Json& json, const char* name, const std::string& where) {
  const auto found = json.find(name);
  SH_CHECK(found != json.end() && found->is_string(), kBadInput, "{}: want a string under '{}'",
           where, name);
  return found->get<std::string>();
}

}  // namespace

std::string document_line(const Document& document) {
  Json json = {{"id", document.id}, {"source", document.source}, {"text", document.text}};
  if (!document.meta.empty()) json["meta"] = document.meta;
  if (!document.split_key.empty()) json["split_key"] = document.split_key;
  return dump_json(json);
}

Document document_from_line(std::string_view line, const std::string& where) {
  const Json json = parse_json(line, where);
  SH_CHECK(json.is_object(), kBadInput, "{}: want a JSON object, got {}", where, json.type_name());
  Document document;
  document.id = text_field(json, "id", where);
  document.source = text_field(json, "source", where);
  document.text = text_field(json, "text", where);
  if (json.contains("meta")) document.meta = json["meta"];
  if (json.contains("split_key")) document.split_key = text_field(json, "split_key", where);
  SH_CHECK(document.meta.is_object(), kBadInput, "{}: want an object under 'meta'", where);
  return document;
}

void read_document_batches(const fs::path& path,
                           const std::function<void(std::vector<Document>&)>& take) {
  LineReader reader(path);
  std::vector<std::string> lines;
  std::vector<Document> documents;
  for (bool more = true; more;) {
    const int64_t first = reader.number() + 1;
    size_t bytes = 0;
    lines.clear();
    for (std::string line; bytes < kBatchBytes && (more = reader.next(line));) {
      bytes += line.size() + 1;
      lines.push_back(std::move(line));
    }
    documents.assign(lines.size(), {});
    parallel_for(int64_t(lines.size()), [&](int64_t i) {
      documents[size_t(i)] =
          document_from_line(lines[size_t(i)], fmt::format("{}:{}", path.string(), first + i));
    });
    if (!documents.empty()) take(documents);
  }
}

void read_documents(const fs::path& path, const std::function<void(Document&&)>& take) {
  read_document_batches(path, [&](std::vector<Document>& batch) {
    for (Document& document : batch) take(std::move(document));
  });
}

}  // namespace shenhong
