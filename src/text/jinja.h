// The part of Jinja that chat templates use, rendered with limits. Strings remember which of their
// bytes came from outside, so that markup written by a user stays text (chat_template.h).
//
// Supported: {{ }}, {% set %}, {% for x in list %}, {% if %} {% elif %} {% else %}, {# #}, the
// signs
// - and + of white-space control; literals, lists; == != < > <= >= + ~ and or not in, `x if c else
// y`, is [not] defined | none | string; a.b a['b'] a[0]; loop.index0, .index, .first, .last;
// namespace(); raise_exception(); filters trim and length; methods strip(), startswith() and
// endswith(). White space is treated as `transformers` does it: trim_blocks and lstrip_blocks are
// on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace shenhong::jinja {

// A text in runs; `outside` runs were written by someone we do not trust.
class Text {
 public:
  struct Run {
    std::string bytes;
    bool outside = false;
  };
  Text() = default;
  explicit Text(std::string bytes, bool outside = false);
  void append(const Text& other);
  std::string flat() const;
  size_t size() const;
  // Without white space at both ends.
  Text trimmed() const;
  const std::vector<Run>& runs() const { return runs_; }

 private:
  std::vector<Run> runs_;  // none empty
};

struct Value;
using List = std::shared_ptr<std::vector<Value>>;
using Object =
    std::shared_ptr<std::vector<std::pair<std::string, Value>>>;  // in order of insertion
struct Undefined {};
struct None {};

struct Value {
  std::variant<Undefined, None, bool, int64_t, Text, List, Object> is;
};

struct Template;

// Error(kBadInput) names `source` and the line of whatever is not supported or not well-formed.
std::shared_ptr<const Template> parse(std::string text, const std::string& source);
const std::string& text_of(const Template& parsed);

// `variables` are the names that the template sees. Error(kUsage) from raise_exception, with its
// message; Error(kBadInput) with the line for a wrong type or a limit of steps or size.
Text render(const Template& parsed, std::vector<std::pair<std::string, Value>> variables);

}  // namespace shenhong::jinja
