#include <algorithm>
#include <utility>

#include "core/error.h"
#include "text/jinja_tree.h"
#include "text/utf8.h"

namespace shenhong::jinja {
namespace {

constexpr size_t kMaxTemplate = 1 << 20;
constexpr int kMaxDepth = 64;  // of brackets and blocks
constexpr int kMaxTree = 200;

using Kind = Expression::Kind;

class Parser {
 public:
  Parser(const std::string& text, const std::string& source)
      : source_(source), tokens_(lex(text, source)) {}

  Block parse() {
    Block body = parse_block();
    if (!at(Token::Kind::kEnd)) unexpected();
    return body;
  }

 private:
  const Token& token() const { return tokens_[at_]; }
  bool at(Token::Kind kind) const { return token().kind == kind; }
  bool at_sign(std::string_view sign) const {
    return at(Token::Kind::kSign) && token().text == sign;
  }
  bool at_name(std::string_view name) const {
    return at(Token::Kind::kName) && token().text == name;
  }
  // A tag's keyword is one token past the tag's beginning.
  bool at_tag(std::string_view name) const {
    return at(Token::Kind::kTagBegin) && tokens_[at_ + 1].kind == Token::Kind::kName &&
           tokens_[at_ + 1].text == name;
  }
  std::string take() { return tokens_[at_++].text; }
  bool skip_sign(std::string_view sign) { return at_sign(sign) && ++at_; }
  bool skip_name(std::string_view name) { return at_name(name) && ++at_; }

  [[noreturn]] void unexpected() const {
    fail(Exit::kBadInput, "{}:{}: unexpected '{}'; only a part of Jinja is supported", source_,
         token().line, token().text.substr(0, 40));
  }
  std::string name() {
    if (!at(Token::Kind::kName)) unexpected();
    return take();
  }
  void want_sign(std::string_view sign) {
    if (!skip_sign(sign)) unexpected();
  }
  void want_end() {
    if (!at(Token::Kind::kTagEnd)) unexpected();
    ++at_;
  }
  void want_closing(std::string_view tag) {
    if (!at_tag(tag)) unexpected();
    at_ += 2;
    want_end();
  }

  // Bounds the recursion of parsing, and with it that of rendering.
  struct Nest {
    explicit Nest(Parser& parser) : depth(parser.depth_) {
      SH_CHECK(++depth <= kMaxDepth, kBadInput, "{}:{}: nested deeper than {} levels",
               parser.source_, parser.token().line, kMaxDepth);
    }
    ~Nest() { --depth; }
    int& depth;
  };

  Block parse_block() {
    const Nest nest(*this);
    Block block;
    for (;;) {
      const int line = token().line;
      if (at(Token::Kind::kText)) {
        block.push_back({Statement::Kind::kText, line, take(), "", {}, {}});
      } else if (at(Token::Kind::kOutputBegin)) {
        ++at_;
        Statement& output =
            block.emplace_back(Statement{Statement::Kind::kOutput, line, "", "", {}, {}});
        output.expressions.push_back(parse_expression());
        if (!at(Token::Kind::kOutputEnd)) unexpected();
        ++at_;
      } else if (at_tag("set")) {
        block.push_back(parse_set());
      } else if (at_tag("for")) {
        block.push_back(parse_for());
      } else if (at_tag("if")) {
        block.push_back(parse_if());
      } else if (at(Token::Kind::kEnd) || at_tag("elif") || at_tag("else") || at_tag("endif") ||
                 at_tag("endfor")) {
        return block;
      } else {
        ++at_;
        unexpected();
      }
    }
  }

  Statement parse_set() {
    Statement set{Statement::Kind::kSet, token().line, "", "", {}, {}};
    at_ += 2;
    set.name = name();
    if (skip_sign(".")) set.attribute = name();
    want_sign("=");
    set.expressions.push_back(parse_expression());
    want_end();
    return set;
  }

  Statement parse_for() {
    Statement loop{Statement::Kind::kFor, token().line, "", "", {}, {}};
    at_ += 2;
    loop.name = name();
    if (!skip_name("in")) unexpected();
    loop.expressions.push_back(parse_or());
    want_end();
    loop.blocks.push_back(parse_block());
    want_closing("endfor");
    return loop;
  }

  Statement parse_if() {
    Statement branch{Statement::Kind::kIf, token().line, "", "", {}, {}};
    do {
      at_ += 2;
      branch.expressions.push_back(parse_expression());
      want_end();
      branch.blocks.push_back(parse_block());
    } while (at_tag("elif"));
    if (at_tag("else")) {
      at_ += 2;
      want_end();
      branch.blocks.push_back(parse_block());
    }
    want_closing("endif");
    return branch;
  }

  // Rendering recurses into the tree, and a chain such as a + b + c is as deep as it is long.
  ExpressionPtr finish(std::unique_ptr<Expression> made) const {
    for (const ExpressionPtr& part : made->parts)
      made->depth = std::max(made->depth, part->depth + 1);
    SH_CHECK(made->depth <= kMaxTree, kBadInput, "{}:{}: expression of more than {} levels",
             source_, made->line, kMaxTree);
    return made;
  }
  std::unique_ptr<Expression> start(Kind kind, std::string text) const {
    auto made = std::make_unique<Expression>();
    made->kind = kind;
    made->line = token().line;
    made->name = std::move(text);
    return made;
  }
  template <class... Parts>
  ExpressionPtr make(Kind kind, std::string text, Parts... parts) const {
    auto made = start(kind, std::move(text));
    (made->parts.push_back(std::move(parts)), ...);
    return finish(std::move(made));
  }
  ExpressionPtr literal(Value value) const {
    auto made = start(Kind::kLiteral, "");
    made->value = std::move(value);
    return made;
  }

  ExpressionPtr parse_expression() {
    const Nest nest(*this);
    ExpressionPtr value = parse_or();
    if (!skip_name("if")) return value;
    ExpressionPtr condition = parse_or();
    ExpressionPtr other = skip_name("else") ? parse_expression() : literal({Undefined{}});
    return make(Kind::kConditional, "", std::move(value), std::move(condition), std::move(other));
  }

  ExpressionPtr parse_or() {
    ExpressionPtr left = parse_and();
    while (skip_name("or")) left = make(Kind::kOr, "", std::move(left), parse_and());
    return left;
  }

  ExpressionPtr parse_and() {
    ExpressionPtr left = parse_not();
    while (skip_name("and")) left = make(Kind::kAnd, "", std::move(left), parse_not());
    return left;
  }

  ExpressionPtr parse_not() {
    const Nest nest(*this);
    return skip_name("not") ? make(Kind::kNot, "", parse_not()) : parse_comparison();
  }

  ExpressionPtr parse_comparison() {
    ExpressionPtr left = parse_sum();
    for (const std::string_view sign : {"==", "!=", "<=", ">=", "<", ">"})
      if (skip_sign(sign))
        return make(Kind::kBinary, std::string(sign), std::move(left), parse_sum());
    if (skip_name("in")) return make(Kind::kBinary, "in", std::move(left), parse_sum());
    if (at_name("not") && tokens_[at_ + 1].kind == Token::Kind::kName &&
        tokens_[at_ + 1].text == "in") {
      at_ += 2;
      return make(Kind::kNot, "", make(Kind::kBinary, "in", std::move(left), parse_sum()));
    }
    return left;
  }

  ExpressionPtr parse_sum() {
    ExpressionPtr left = parse_concatenation();
    while (skip_sign("+")) left = make(Kind::kBinary, "+", std::move(left), parse_concatenation());
    return left;
  }

  // Binds closer than +, as in Jinja.
  ExpressionPtr parse_concatenation() {
    ExpressionPtr left = parse_unary();
    while (skip_sign("~")) left = make(Kind::kBinary, "~", std::move(left), parse_unary());
    return left;
  }

  ExpressionPtr parse_unary() {
    ExpressionPtr value = parse_primary();
    for (;;) {
      if (skip_sign(".")) {
        std::string member = name();
        if (skip_sign("(")) {
          auto method = start(Kind::kMethod, std::move(member));
          method->parts.push_back(std::move(value));
          parse_arguments(*method);
          if (!method->keys.empty()) unexpected();
          value = finish(std::move(method));
        } else {
          value = make(Kind::kMember, "", std::move(value), literal({Text(std::move(member))}));
        }
      } else if (skip_sign("[")) {
        value = make(Kind::kMember, "", std::move(value), parse_expression());
        want_sign("]");
      } else if (skip_sign("|")) {
        value = make(Kind::kFilter, name(), std::move(value));
      } else if (skip_name("is")) {
        const bool negated = skip_name("not");
        value = make(Kind::kTest, name(), std::move(value));
        if (negated) value = make(Kind::kNot, "", std::move(value));
      } else {
        return value;
      }
    }
  }

  ExpressionPtr parse_primary() {
    const Nest nest(*this);
    if (at(Token::Kind::kString)) {
      std::string text = take();
      while (at(Token::Kind::kString)) text += take();  // 'a' 'b' is one string, as in Python
      return literal({Text(std::move(text))});
    }
    const bool negative = at_sign("-") && tokens_[at_ + 1].kind == Token::Kind::kNumber && ++at_;
    if (at(Token::Kind::kNumber))
      return literal({int64_t(std::stoll(take())) * (negative ? -1 : 1)});
    if (skip_sign("(")) {
      ExpressionPtr inside = parse_expression();
      want_sign(")");
      return inside;
    }
    if (skip_sign("[")) {
      auto list = start(Kind::kList, "");
      while (!skip_sign("]")) {
        list->parts.push_back(parse_expression());
        if (!at_sign("]")) want_sign(",");
      }
      return finish(std::move(list));
    }
    const std::string word = name();
    if (word == "true" || word == "True") return literal({true});
    if (word == "false" || word == "False") return literal({false});
    if (word == "none" || word == "None") return literal({None{}});
    if (!skip_sign("(")) return make(Kind::kName, word);
    auto call = start(Kind::kCall, word);
    parse_arguments(*call);
    return finish(std::move(call));
  }

  void parse_arguments(Expression& call) {
    while (!skip_sign(")")) {
      const bool named = at(Token::Kind::kName) && tokens_[at_ + 1].kind == Token::Kind::kSign &&
                         tokens_[at_ + 1].text == "=";
      if (named) {
        call.keys.push_back(name());
        want_sign("=");
      } else if (!call.keys.empty()) {
        unexpected();
      }
      call.parts.push_back(parse_expression());
      if (!at_sign(")")) want_sign(",");
    }
  }

  const std::string& source_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

std::shared_ptr<const Template> parse(std::string text, const std::string& source) {
  SH_CHECK(text.size() <= kMaxTemplate, kBadInput, "{}: {} bytes of template, limit {}", source,
           text.size(), kMaxTemplate);
  SH_CHECK(is_valid_utf8(text), kBadInput, "{}: not valid UTF-8", source);
  Block body = Parser(text, source).parse();
  return std::make_shared<const Template>(Template{std::move(text), source, std::move(body)});
}

const std::string& text_of(const Template& parsed) { return parsed.text; }

}  // namespace shenhong::jinja
