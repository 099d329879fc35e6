#include "data/prepare.h"

namespace shenhong {
namespace {

void add(SourceReport& total, const SourceReport& source) {
  total.read += source.read;
  total.dropped += source.dropped;
  total.train_documents += source.train_documents;
  total.valid_documents += source.valid_documents;
  total.characters += source.characters;
  total.han += source.han;
  total.bytes += source.bytes;
  total.train_tokens += source.train_tokens;
  total.valid_tokens += source.valid_tokens;
}

SourceReport total_of(const DataReport& report) {
  SourceReport total;
  total.source = "total";
  for (const SourceReport& source : report.sources) add(total, source);
  return total;
}

double characters_per_token(const SourceReport& source) {
  const int64_t tokens = source.train_tokens + source.valid_tokens;
  return tokens > 0 ? double(source.characters) / double(tokens) : 0;
}

std::string row(const SourceReport& source) {
  std::string reasons;
  for (const auto& [name, reason] : kDropReasons)
    if (const int64_t count = source.dropped.*reason; count > 0)
      reasons += fmt::format("{}{} {}", reasons.empty() ? "" : ", ", name, count);
  return fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} | {:.2f} | {} | {} |\n",
                     source.source, source.read, source.train_documents, source.valid_documents,
                     source.characters, source.han, source.train_tokens, source.valid_tokens,
                     characters_per_token(source), source.dropped.sum(),
                     reasons.empty() ? "–" : reasons);
}

Json row_json(const SourceReport& source) {
  Json json = fields_to_json(source);
  json["characters_per_token"] = characters_per_token(source);
  return json;
}

}  // namespace

Json report_json(const DataReport& report) {
  Json json = {{"vocab_size", report.vocab_size}, {"sources", Json::array()}};
  for (const SourceReport& source : report.sources) json["sources"].push_back(row_json(source));
  json["total"] = row_json(total_of(report));
  return json;
}

std::string report_markdown(const DataReport& report) {
  std::string text = fmt::format(
      "# What became of the corpora\n\nVocabulary: {} tokens. Characters are counted without white "
      "space, tokens with BOS and EOS.\n\n"
      "| source | read | train documents | valid documents | characters | Han | train tokens | "
      "valid tokens | characters per token | dropped | why |\n"
      "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n",
      report.vocab_size);
  for (const SourceReport& source : report.sources) text += row(source);
  return text + row(total_of(report));
}

}  // namespace shenhong
