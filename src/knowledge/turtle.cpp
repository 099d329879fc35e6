// Turtle by way of serd, one statement at a time, so that a subject's dcterms:source can be applied
// to all that the same statement says of it.
#include <serd/serd.h>

#include <cstdio>
#include <memory>
#include <utility>

#include "core/error.h"
#include "core/lines.h"
#include "knowledge/import.h"
#include "knowledge/vocabulary.h"

namespace shenhong {
namespace {

std::string_view view(const SerdNode* node) {
  return {reinterpret_cast<const char*>(node->buf), node->n_bytes};
}

struct Close {
  void operator()(SerdEnv* env) const { serd_env_free(env); }
  void operator()(SerdReader* reader) const { serd_reader_free(reader); }
};

class TurtleReader {
 public:
  TurtleReader(const std::string& default_source, const FactSink& sink)
      : default_source_(default_source),
        sink_(sink),
        env_(serd_env_new(nullptr)),
        reader_(
            serd_reader_new(SERD_TURTLE, this, nullptr, on_base, on_prefix, on_statement, on_end)) {
    serd_reader_set_error_sink(reader_.get(), on_error, this);
  }

  // One whole statement, @prefix among them; `line` is where it begins.
  void read(const std::string& statement, int64_t line) {
    line_ = line;
    text_ = statement;
    faulty_ = false;
    // serd reads up to a zero byte and would lose the rest without a word.
    if (statement.find('\0') != std::string::npos)
      return reject(1, "the statement holds a zero byte");
    serd_reader_read_string(reader_.get(), reinterpret_cast<const uint8_t*>(statement.c_str()));
    if (failure_) std::rethrow_exception(failure_);
    flush();
  }

 private:
  static SerdStatus on_base(void* self, const SerdNode* uri) {
    return serd_env_set_base_uri(static_cast<TurtleReader*>(self)->env_.get(), uri);
  }
  static SerdStatus on_prefix(void* self, const SerdNode* name, const SerdNode* uri) {
    return serd_env_set_prefix(static_cast<TurtleReader*>(self)->env_.get(), name, uri);
  }
  static SerdStatus on_end(void*, const SerdNode*) { return SERD_SUCCESS; }
  static SerdStatus on_error(void* self, const SerdError* error) {
    char text[256];
    va_list copy;
    va_copy(copy, *error->args);
    std::vsnprintf(text, sizeof text, error->fmt, copy);
    va_end(copy);
    std::string_view fault = text;
    while (fault.ends_with('\n')) fault.remove_suffix(1);
    static_cast<TurtleReader*>(self)->reject(int64_t(error->line), fault);
    return SERD_SUCCESS;
  }
  // Exceptions do not cross the C library: the reading loop throws them on.
  static SerdStatus on_statement(void* self, SerdStatementFlags, const SerdNode*,
                                 const SerdNode* subject, const SerdNode* predicate,
                                 const SerdNode* object, const SerdNode* datatype,
                                 const SerdNode* language) {
    auto& reader = *static_cast<TurtleReader*>(self);
    try {
      reader.statement(subject, predicate, object, datatype, language);
      return SERD_SUCCESS;
    } catch (...) {
      reader.failure_ = std::current_exception();
      return SERD_ERR_INTERNAL;
    }
  }

  // The rest of a faulty statement is lost, so it is one reject however many faults serd counts.
  void reject(int64_t line_of_statement, std::string_view fault) {
    if (!std::exchange(faulty_, true)) sink_.reject(line_ + line_of_statement - 1, fault, text_);
  }

  // A name whose prefix nobody declared stays as it stands, without a scheme, and so is no IRI.
  std::string expanded(const SerdNode* node) {
    SerdNode full = serd_env_expand_node(env_.get(), node);
    const std::string text = full.buf ? std::string(view(&full)) : ":" + std::string(view(node));
    serd_node_free(&full);
    return text;
  }

  Term term_of(const SerdNode* node, const SerdNode* datatype, const SerdNode* language) {
    Term term;
    switch (node->type) {
      case SERD_BLANK:
        term = {Term::Kind::kBlank, std::string(view(node)), "", ""};
        break;
      case SERD_LITERAL:
        term = Term::text(std::string(view(node)));
        if (language && language->buf) term.language = view(language);
        if (datatype && datatype->buf) term.datatype = expanded(datatype);
        for (char& c : term.language) c = char(tolower(uint8_t(c)));
        break;
      default:
        term = Term::iri(expanded(node));
    }
    return term;
  }

  void statement(const SerdNode* subject, const SerdNode* predicate, const SerdNode* object,
                 const SerdNode* datatype, const SerdNode* language) {
    Statement fact{term_of(subject, nullptr, nullptr),
                   term_of(predicate, nullptr, nullptr),
                   term_of(object, datatype, language),
                   {}};
    for (const Term* term : {&fact.subject, &fact.predicate, &fact.object}) {
      const char* fault = term->kind == Term::Kind::kIri ? iri_fault(term->value) : nullptr;
      if (fault) return reject(1, fmt::format("<{}>: {}", term->value, fault));
    }
    if (fact.predicate.value == iri::kSource && fact.object.is_literal())
      source_ = fact.object.value;
    else
      block_.push_back(std::move(fact));
  }

  void flush() {
    Provenance provenance;
    provenance.source = source_.empty() ? default_source_ : source_;
    for (const Statement& fact : block_) sink_.add(fact, provenance);
    block_.clear();
    source_.clear();
  }

  const std::string& default_source_;
  const FactSink& sink_;
  std::unique_ptr<SerdEnv, Close> env_;
  std::unique_ptr<SerdReader, Close> reader_;
  std::vector<Statement> block_;
  std::string source_;
  int64_t line_ = 0;
  std::string_view text_;
  bool faulty_ = false;
  std::exception_ptr failure_;
};

// Cuts Turtle into statements: a full stop before a blank, outside IRIs, strings and comments, ends
// one. serd would stop at a fault; this way only the faulty statement is lost.
class StatementCutter {
 public:
  explicit StatementCutter(const fs::path& path) : path_(path), reader_(path) {}

  // Complete or, at the end of the file, what is left. `line` is where it begins.
  bool next(std::string& statement, int64_t& line) {
    statement.clear();
    line = 0;
    while (true) {
      if (at_ == text_.size() && !more()) return line > 0;
      const char c = text_[at_++];
      if (c == '\n') ++line_;
      if (line == 0 && (c == ' ' || c == '\t' || c == '\r' || c == '\n')) continue;
      if (line == 0) line = line_;
      statement += c;
      SH_CHECK(
          statement.size() <= kLongestStatement, kBadInput,
          "{}: the statement at line {} is longer than {} MiB: does a string or an IRI not end?",
          path_.string(), line, kLongestStatement >> 20);
      if (ends(c)) return true;
    }
  }

 private:
  static constexpr size_t kLongestStatement = size_t(16) << 20;

  bool more() {
    text_.clear();
    at_ = 0;
    return reader_.append(text_, size_t(1) << 20) || !text_.empty();
  }

  // Takes in `c`; true when it ends the statement.
  bool ends(char c) {
    if (comment_) {
      comment_ = c != '\n';
    } else if (opening_ > 0) {
      --opening_;  // the second and third mark of """
    } else if (!close_.empty()) {
      const bool escaped = std::exchange(escaped_, !escaped_ && c == '\\');
      closing_ = !escaped && c == close_[0] ? closing_ + 1 : 0;
      const bool broken = c == '\n' && close_.size() == 1;  // serd will say so
      if (closing_ == close_.size() || broken) close_.clear(), closing_ = 0, escaped_ = false;
    } else if (c == '#') {
      comment_ = true;
    } else if (c == '<') {
      close_ = ">";
    } else if (c == '"' || c == '\'') {
      const bool is_long = peek(0) == c && peek(1) == c;
      close_.assign(is_long ? 3 : 1, c);
      opening_ = is_long ? 2 : 0;
    } else if (c == '.') {
      const char after = peek(0);
      return after == '\0' || after == ' ' || after == '\t' || after == '\r' || after == '\n' ||
             after == '#';
    }
    return false;
  }

  char peek(size_t ahead) {
    if (at_ + ahead >= text_.size()) reader_.append(text_, size_t(1) << 20);
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }

  fs::path path_;
  ByteReader reader_;
  std::string text_, close_;  // close_: what ends the IRI or string that is open
  size_t at_ = 0, closing_ = 0, opening_ = 0;
  int64_t line_ = 1;
  bool comment_ = false, escaped_ = false;
};

}  // namespace

void read_turtle(const fs::path& file, const std::string& default_source, const FactSink& sink) {
  TurtleReader turtle(default_source, sink);
  StatementCutter cutter(file);
  std::string statement;
  for (int64_t line = 0; cutter.next(statement, line);) turtle.read(statement, line);
}

}  // namespace shenhong
