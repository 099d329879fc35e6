// Sentence-aligned classics, and dictionaries.
#include <string_view>

#include "core/error.h"
#include "data/corpus.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

std::string string_or_empty(const Json& record, const char* name) {
  const auto found = record.find(name);
  return found != record.end() && found->is_string() ? found->get<std::string>() : "";
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

// Chinese punctuation throughout: ﹑ and ◇ and half-width marks are remnants of old typesetting,
// and of the quotation marks “ ” the opening one is often lost; what has no partner goes.
std::string with_chinese_marks(std::string_view text) {
  std::string out;
  bool quoted = false;
  for_each_character(text, [&](char32_t c) {
    switch (c) {
      case U'﹑':
        c = U'、';
        break;
      case U'◇':
        c = U'。';
        break;
      case U';':
        c = U'；';
        break;
      case U'"':
        c = quoted ? U'”' : U'“';
        break;
      default:
        break;
    }
    if (c == U'”' && !quoted) return;
    if (c == U'“' || c == U'”') quoted = c == U'“';
    append_utf8(out, c);
  });
  return out;
}

// "1.山间野花。 \n2.植物名。": a single sense loses its number, several share one line.
std::string definition_text(std::string text) {
  replace_all(text, "\r", "");
  replace_all(text, " \n", "\n");
  while (text.ends_with('\n') || text.ends_with(' ')) text.pop_back();
  if (text.starts_with("1.") && text.find("\n2.") == std::string::npos) text.erase(0, 2);
  replace_all(text, "\n", "");
  return with_chinese_marks(text);
}

}  // namespace

void parse_pairs(const SourceConfig& source, const Json& record, const std::string& where,
                 std::vector<Document>& out) {
  const auto pairs = record.find("pairs");
  SH_CHECK(pairs != record.end() && pairs->is_array(), kBadInput,
           "{}: want a list under 'pairs': [[classical, modern], ...]", where);
  std::string classical, modern, paired;
  for (const Json& pair : *pairs) {
    SH_CHECK(pair.is_array() && pair.size() == 2 && pair[0].is_string() && pair[1].is_string(),
             kBadInput, "{}: {} is no pair [classical, modern]", where,
             dump_json(pair).substr(0, 80));
    const auto& left = pair[0].get_ref<const std::string&>();
    const auto& right = pair[1].get_ref<const std::string&>();
    classical += left;
    modern += right;
    paired += "原文：" + left + "\n译文：" + right + "\n";
  }
  const std::string book = string_or_empty(record, "book");
  const std::string title = string_or_empty(record, "title");
  const std::string heading =
      "《" + book + (book.empty() || title.empty() ? "" : "·") + title + "》";
  for (const std::string& form : source.emit) {
    const std::string& body = form == "modern" ? modern : form == "classical" ? classical : paired;
    Document document;
    document.id = string_or_empty(record, "id") + "#" + form;
    document.text = heading + (form == "modern" ? "译文" : "") + "\n" + body;
    document.meta = {{"title", title}, {"book", book}, {"form", form}};
    document.split_key = classical;
    out.push_back(std::move(document));
  }
}

std::vector<Document> parse_dictionary(const SourceConfig&, const Json& json,
                                       const std::string& where) {
  SH_CHECK(json.is_object(), kBadInput, "{}: want an object {{word: definition}}, got {}", where,
           json.type_name());
  std::vector<Document> documents;
  for (const auto& [word, value] : json.items()) {
    SH_CHECK(value.is_string(), kBadInput, "{}: the definition of '{}' is {}: want a string", where,
             word, value.type_name());
    const std::string definition = definition_text(value.get<std::string>());
    Document document;
    document.id = word;
    document.text = definition.empty() ? "" : word + "：" + definition;
    document.meta = {{"word", word}, {"definition", definition}};
    documents.push_back(std::move(document));
  }
  return documents;
}

}  // namespace shenhong
