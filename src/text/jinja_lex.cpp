#include <algorithm>
#include <cctype>

#include "core/error.h"
#include "text/jinja_tree.h"
#include "text/utf8.h"

namespace shenhong::jinja {
namespace {

constexpr std::string_view kSpace = " \t\r\n\f\v";
constexpr std::string_view kTwoSigns[] = {"==", "!=", "<=", ">="};
constexpr std::string_view kOneSign = "()[].,:|+~<>=-{}";

bool starts_name(char c) { return std::isalpha(uint8_t(c)) || c == '_'; }
bool in_name(char c) { return std::isalnum(uint8_t(c)) || c == '_'; }

class Lexer {
 public:
  Lexer(std::string_view text, const std::string& source) : text_(text), source_(source) {
    // Jinja drops one newline at the end of a template.
    if (text_.ends_with("\r\n"))
      text_.remove_suffix(2);
    else if (text_.ends_with('\n'))
      text_.remove_suffix(1);
  }

  std::vector<Token> lex() {
    while (at_ < text_.size()) lex_text();
    add(Token::Kind::kEnd, "end of the template");
    return std::move(tokens_);
  }

 private:
  enum class Trim { kNone, kAll, kNewline };

  void add(Token::Kind kind, std::string text) {
    tokens_.push_back({kind, std::move(text), line_});
  }

  void advance(size_t bytes) {
    line_ += int(std::count(text_.begin() + long(at_), text_.begin() + long(at_ + bytes), '\n'));
    at_ += bytes;
  }

  // Plain text up to the next opening, then what is inside it.
  void lex_text() {
    size_t open = at_;
    while ((open = text_.find('{', open)) != text_.npos &&
           (open + 1 == text_.size() ||
            std::string_view("{%#").find(text_[open + 1]) == std::string_view::npos))
      ++open;
    const bool last = open == text_.npos;
    std::string plain(text_.substr(at_, last ? text_.npos : open - at_));
    if (trim_ == Trim::kAll)
      plain.erase(0, std::min(plain.find_first_not_of(kSpace), plain.size()));
    // trim_blocks: the first newline after a tag goes.
    if (trim_ == Trim::kNewline)
      plain.erase(0, plain.starts_with("\r\n") ? 2 : plain.starts_with('\n') ? 1 : 0);
    trim_ = Trim::kNone;
    if (last) {
      if (!plain.empty()) add(Token::Kind::kText, std::move(plain));
      advance(text_.size() - at_);
      return;
    }
    const char type = text_[open + 1];
    const char control = open + 2 < text_.size() ? text_[open + 2] : '\0';
    if (control == '-') {
      plain.erase(plain.find_last_not_of(kSpace) + 1);
    } else if (control != '+' && type != '{') {
      // lstrip_blocks: a tag's indentation goes when the tag is the first thing in its line.
      const size_t blank = plain.find_last_not_of(" \t\f\v") + 1;
      const bool line_start =
          blank == 0 ? at_line_start(open - plain.size()) : plain[blank - 1] == '\n';
      if (line_start) plain.erase(blank);
    }
    if (!plain.empty()) add(Token::Kind::kText, std::move(plain));
    advance(open - at_ + 2 + (control == '-' || control == '+' ? 1 : 0));
    if (type == '#') return skip_comment();
    type == '{' ? lex_inside(Token::Kind::kOutputBegin, Token::Kind::kOutputEnd, "}}")
                : lex_inside(Token::Kind::kTagBegin, Token::Kind::kTagEnd, "%}");
  }

  bool at_line_start(size_t position) const { return position == 0 || text_[position - 1] == '\n'; }

  void skip_comment() {
    const size_t close = text_.find("#}", at_);
    SH_CHECK(close != text_.npos, kBadInput, "{}:{}: comment without '#}}'", source_, line_);
    trim_ = text_[close - 1] == '-'   ? Trim::kAll
            : text_[close - 1] == '+' ? Trim::kNone
                                      : Trim::kNewline;
    advance(close + 2 - at_);
  }

  void lex_inside(Token::Kind begin, Token::Kind end, std::string_view close) {
    add(begin, "");
    std::string brackets;
    for (;;) {
      while (at_ < text_.size() && kSpace.find(text_[at_]) != kSpace.npos) advance(1);
      SH_CHECK(at_ < text_.size(), kBadInput, "{}:{}: '{}' is missing", source_, line_, close);
      const std::string_view rest = text_.substr(at_);
      const bool controlled = rest.size() > 2 && (rest[0] == '-' || rest[0] == '+') &&
                              rest.substr(1).starts_with(close);
      if (controlled || (brackets.empty() && rest.starts_with(close))) {
        trim_ = !controlled      ? (close == "%}" ? Trim::kNewline : Trim::kNone)
                : rest[0] == '-' ? Trim::kAll
                                 : Trim::kNone;
        add(end, std::string(close));
        advance(close.size() + (controlled ? 1 : 0));
        return;
      }
      lex_token(rest, brackets);
    }
  }

  void lex_token(std::string_view rest, std::string& brackets) {
    if (starts_name(rest[0])) {
      size_t size = 1;
      while (size < rest.size() && in_name(rest[size])) ++size;
      add(Token::Kind::kName, std::string(rest.substr(0, size)));
      return advance(size);
    }
    if (std::isdigit(uint8_t(rest[0]))) {
      size_t size = 1;
      while (size < rest.size() && std::isdigit(uint8_t(rest[size]))) ++size;
      SH_CHECK(size <= 9, kBadInput, "{}:{}: number '{}' has more than 9 digits", source_, line_,
               rest.substr(0, size));
      add(Token::Kind::kNumber, std::string(rest.substr(0, size)));
      return advance(size);
    }
    if (rest[0] == '\'' || rest[0] == '"') return lex_string(rest);
    for (const std::string_view sign : kTwoSigns) {
      if (!rest.starts_with(sign)) continue;
      add(Token::Kind::kSign, std::string(sign));
      return advance(2);
    }
    SH_CHECK(kOneSign.find(rest[0]) != kOneSign.npos, kBadInput, "{}:{}: unexpected '{}'", source_,
             line_, sanitise_utf8(rest.substr(0, 1)));
    if (rest[0] == '{') brackets += '{';
    if (rest[0] == '}' && !brackets.empty()) brackets.pop_back();
    add(Token::Kind::kSign, std::string(1, rest[0]));
    advance(1);
  }

  void lex_string(std::string_view rest) {
    std::string value;
    for (size_t i = 1; i < rest.size(); ++i) {
      if (rest[i] == rest[0]) {
        add(Token::Kind::kString, std::move(value));
        return advance(i + 1);
      }
      if (rest[i] != '\\' || i + 1 == rest.size()) {
        value += rest[i];
        continue;
      }
      switch (rest[++i]) {
        case 'n':
          value += '\n';
          break;
        case 't':
          value += '\t';
          break;
        case 'r':
          value += '\r';
          break;
        case '\\':
        case '\'':
        case '"':
          value += rest[i];
          break;
        default:
          fail(Exit::kBadInput, "{}:{}: escape '\\{}' is not supported", source_, line_,
               sanitise_utf8(rest.substr(i, 1)));
      }
    }
    fail(Exit::kBadInput, "{}:{}: string without its closing quote", source_, line_);
  }

  std::string_view text_;
  const std::string& source_;
  size_t at_ = 0;
  int line_ = 1;
  Trim trim_ = Trim::kNone;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> lex(std::string_view text, const std::string& source) {
  return Lexer(text, source).lex();
}

}  // namespace shenhong::jinja
