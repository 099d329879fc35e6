// A parsed template: what jinja_parse makes and jinja_render walks. Private to the two.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja.h"

namespace shenhong::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<const Expression>;

struct Expression {
  enum class Kind {
    kLiteral,      // value
    kList,         // parts
    kName,         // name
    kMember,       // parts[0][parts[1]]; a.b has a literal "b"
    kCall,         // name(parts), with `keys` naming the last ones
    kMethod,       // parts[0].name(parts[1..])
    kFilter,       // parts[0] | name
    kTest,         // parts[0] is name
    kNot,          // not parts[0]
    kAnd,          // parts[0] and parts[1]
    kOr,           //
    kBinary,       // parts[0] name parts[1], name one of == != < > <= >= + ~ in
    kConditional,  // parts[0] if parts[1] else parts[2]
  };
  Kind kind = Kind::kLiteral;
  int line = 0;
  int depth = 1;  // levels of the tree below, this one included
  std::string name;
  Value value;
  std::vector<ExpressionPtr> parts;
  std::vector<std::string> keys;
};

struct Statement;
using Block = std::vector<Statement>;

struct Statement {
  enum class Kind {
    kText,    // name
    kOutput,  // expressions[0]
    kSet,     // name = expressions[0]; name.attribute = … where there is one
    kFor,     // name in expressions[0]: blocks[0]; `else` is not supported
    kIf,      // expressions[i]: blocks[i]; one block more than expressions: else
  };
  Kind kind;
  int line;
  std::string name, attribute;
  std::vector<ExpressionPtr> expressions;
  std::vector<Block> blocks;
};

struct Template {
  std::string text, source;
  Block body;
};

struct Token {
  enum class Kind {
    kText,
    kOutputBegin,
    kOutputEnd,
    kTagBegin,
    kTagEnd,
    kName,
    kString,
    kNumber,
    kSign,
    kEnd
  };
  Kind kind;
  std::string text;
  int line;
};

// The template's tokens, white-space control applied, the last one kEnd.
std::vector<Token> lex(std::string_view text, const std::string& source);

}  // namespace shenhong::jinja
