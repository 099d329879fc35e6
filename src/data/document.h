// One text on its way from a corpus to the tokenizer, and the compressed JSON Lines it rests in.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "core/json.h"

namespace shenhong {

struct Document {
  std::string id;      // unique inside its source
  std::string source;  // SourceConfig::name
  std::string text;    // UTF-8, lines separated by \n, no newline at the end
  // What the corpus knows, strings under: title, author, dynasty, kind (诗 词 曲 ...), tune (词牌),
  // book, form (classical | modern | paired), prologue, word, definition.
  // The text of a piece of poetry is its heading 《title》dynasty·author (·form·rhyme, when it has
  // one), then its lines.
  Json meta = Json::object();
  // Documents of one key fall on the same side of the train/validation split; empty: the text
  // itself.
  std::string split_key;
};

// One line, without the newline.
std::string document_line(const Document& document);
// `where` names the line in errors.
Document document_from_line(std::string_view line, const std::string& where);

// The documents of a .jsonl.zst that `shenhong data` wrote (OUT/SOURCE/{train,valid}.jsonl.zst), in
// order.
void read_documents(const fs::path& path, const std::function<void(Document&&)>& take);
// The same in batches of some thousand, for callers that work on many at once.
void read_document_batches(const fs::path& path,
                           const std::function<void(std::vector<Document>&)>& take);

}  // namespace shenhong
