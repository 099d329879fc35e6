// The layouts of the chinese-poetry collection: lists of pieces, and books of parts of chapters.
// A piece is an object with a list of lines under paragraphs, para or content (or one saying, with
// comments); what is around it (title, type, chapter, author) is read on the way down.
#include <algorithm>
#include <array>
#include <string_view>

#include "core/error.h"
#include "data/corpus.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

struct Context {
  std::string book, author, dynasty;
};

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

// Without spaces at the ends, one at most elsewhere, and with one kind of middle dot.
std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\n");
  if (first == std::string_view::npos) return "";
  std::string out(text.substr(first, text.find_last_not_of(" \t\n") - first + 1));
  while (out.find("  ") != std::string::npos) replace_all(out, "  ", " ");
  replace_all(out, "・", "·");
  return out;
}

// 宋代 is written 宋 like the others.
std::string dynasty_name(std::string_view name) {
  constexpr std::string_view kAge = "代";
  if (name == "yuan") return "元";
  if (name.size() == 2 * kAge.size() && name.ends_with(kAge) && name != "五代")
    name.remove_suffix(kAge.size());
  return std::string(name);
}

std::string text_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? trimmed(found->get<std::string>()) : "";
}

const Json* list_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_array() && !found->empty() ? &*found : nullptr;
}

// "（唐）孟浩然" and "先秦：左丘明" name the dynasty with the author.
void take_author(const std::string& text, Context& context) {
  if (text.empty()) return;
  for (const auto& [open, close] :
       {std::pair<std::string_view, std::string_view>{"（", "）"}, {"", "："}}) {
    const size_t end = text.find(close);
    if (!text.starts_with(open) || end == std::string::npos || end <= open.size()) continue;
    context.dynasty = dynasty_name(std::string_view(text).substr(open.size(), end - open.size()));
    context.author = trimmed(std::string_view(text).substr(end + close.size()));
    return;
  }
  context.author = text;
}

// The lines without what editors put between brackets (readings, sources, stage directions), which
// may go on over several lines; of [襟] they restored the character, which stays. A bracket without
// its partner stays too, for the source's `unwanted` to find.
std::vector<std::string> without_notes(const std::string& lines) {
  constexpr std::u32string_view kOpen = U"（(〖〔", kClose = U"）)〗〕";
  std::vector<size_t> opened;  // places in `out` where the notes begin
  std::string out;
  bool after_note = false;
  for_each_character(lines, [&](char32_t c) {
    if (c == U'[' || c == U']') return;
    // The mark that closed the note's sentence.
    if (after_note && c == U'。' && (out.empty() || out.ends_with('\n') || out.ends_with("。")))
      return;
    after_note = false;
    if (kOpen.find(c) != std::u32string_view::npos) opened.push_back(out.size());
    append_utf8(out, c);
    if (kClose.find(c) == std::u32string_view::npos || opened.empty()) return;
    out.resize(opened.back());
    opened.pop_back();
    after_note = true;
  });
  std::vector<std::string> kept;
  for (size_t at = 0; at < out.size();) {
    const size_t end = std::min(out.find('\n', at), out.size());
    std::string line = trimmed(std::string_view(out).substr(at, end - at));
    at = end + 1;
    if (!line.empty()) kept.push_back(std::move(line));
  }
  return kept;
}

class PoetryReader {
 public:
  PoetryReader(const SourceConfig& source, const std::string& where)
      : source_(source), where_(where), file_(fs::path(where).filename().string()) {}

  void walk(const Json& json, const Context& context) {
    if (json.is_array()) {
      for (const Json& item : json) walk(item, context);
      return;
    }
    SH_CHECK(json.is_object(), kBadInput, "{}: want pieces with lines, got {}", where_,
             json.type_name());
    Context inner = context;
    if (const std::string dynasty = text_of(json, "dynasty"); !dynasty.empty())
      inner.dynasty = dynasty_name(dynasty);
    take_author(text_of(json, "author"), inner);
    for (const char* name : {"paragraphs", "para", "content"}) {
      const Json* list = list_of(json, name);
      if (!list) continue;
      if (list->front().is_string()) return piece(json, *list, inner);
      if (inner.book.empty()) inner.book = text_of(json, "title");
      return walk(*list, inner);
    }
    if (const std::string saying = text_of(json, "content"); !saying.empty()) {
      Json lines = {saying};
      if (const Json* comments = list_of(json, "comment"))
        lines.insert(lines.end(), comments->begin(), comments->end());
      return piece(json, lines, inner);
    }
    if (json.contains("desc") || json.contains("description")) person(json);
  }

  std::vector<Document> take() { return std::move(documents_); }

 private:
  std::string next_id(const Json& json) {
    std::string id = text_of(json, "id");
    return id.empty() ? fmt::format("{}#{}", file_, documents_.size()) : id;
  }

  void piece(const Json& json, const Json& lines, const Context& context) {
    const std::string tune = text_of(json, "rhythmic");
    std::string title;
    for (const char* name : {"title", "rhythmic", "chapter"})
      if (title.empty())
        title = fmt::format("{}", fmt::join(without_notes(text_of(json, name)), " "));
    const std::string& book = context.book;
    std::string heading = "《" + book + (book.empty() || title.empty() ? "" : "·") + title + "》";
    if (book.empty() && title.empty()) heading.clear();
    heading += context.dynasty + (context.dynasty.empty() || context.author.empty() ? "" : "·");
    heading += context.author;

    std::string joined;
    for (const Json& line : lines) {
      SH_CHECK(line.is_string(), kBadInput, "{}: '{}' holds a line that is {}", where_, title,
               line.type_name());
      joined += line.get_ref<const std::string&>() + "\n";
    }
    Document document;
    document.id = next_id(json);
    const std::vector<std::string> kept = without_notes(joined);
    if (!kept.empty()) document.text = fmt::format("{}\n{}", heading, fmt::join(kept, "\n"));
    for (const auto& [name, value] : std::array<std::pair<const char*, std::string>, 7>{
             {{"title", title},
              {"author", context.author},
              {"dynasty", context.dynasty},
              {"kind", source_.kind},
              {"tune", tune},
              {"book", book},
              {"prologue", text_of(json, "prologue")}}})
      if (!value.empty()) document.meta[name] = value;
    documents_.push_back(std::move(document));
  }

  void person(const Json& json) {
    const std::string name = text_of(json, "name");
    std::string life = text_of(json, "desc");
    if (life.empty()) life = text_of(json, "description");
    Document document;
    document.id = next_id(json);
    // "--" and an empty text stand for a life of which nothing is known.
    if (life.size() > 6) document.text = name + "\n" + life;
    document.meta = {{"title", name}, {"kind", "人物"}};
    if (!source_.dynasty.empty()) document.meta["dynasty"] = source_.dynasty;
    documents_.push_back(std::move(document));
  }

  const SourceConfig& source_;
  const std::string& where_;
  std::string file_;
  std::vector<Document> documents_;
};

}  // namespace

std::vector<Document> parse_poetry(const SourceConfig& source, const Json& json,
                                   const std::string& where) {
  PoetryReader reader(source, where);
  reader.walk(json, {.book = source.book, .author = {}, .dynasty = source.dynasty});
  return reader.take();
}

}  // namespace shenhong
