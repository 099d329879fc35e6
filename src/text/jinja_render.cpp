#include <algorithm>
#include <utility>

#include "core/error.h"
#include "text/jinja_tree.h"

namespace shenhong::jinja {
namespace {

constexpr int64_t kMaxSteps = 1'000'000;
constexpr size_t kMaxBytes = 256 << 20;  // of all strings made on the way
constexpr std::string_view kSpace = " \t\r\n\f\v";

using Kind = Expression::Kind;

bool is_text(const Value& value) { return std::holds_alternative<Text>(value.is); }
std::string flat(const Value& value) { return std::get<Text>(value.is).flat(); }

bool truth(const Value& value) {
  struct {
    bool operator()(Undefined) const { return false; }
    bool operator()(None) const { return false; }
    bool operator()(bool b) const { return b; }
    bool operator()(int64_t i) const { return i != 0; }
    bool operator()(const Text& t) const { return t.size() > 0; }
    bool operator()(const List& l) const { return !l->empty(); }
    bool operator()(const Object& o) const { return !o->empty(); }
  } const visitor;
  return std::visit(visitor, value.is);
}

class Renderer {
 public:
  Renderer(const Template& parsed, std::vector<std::pair<std::string, Value>> variables)
      : source_(parsed.source) {
    scopes_.push_back(std::move(variables));
    run(parsed.body);
  }
  Text take() { return std::move(out_); }

 private:
  using Scope = std::vector<std::pair<std::string, Value>>;

  template <class... Args>
  [[noreturn]] void wrong(int line, fmt::format_string<Args...> format, Args&&... args) const {
    fail(Exit::kBadInput, "{}:{}: {}", source_, line,
         fmt::format(format, std::forward<Args>(args)...));
  }
  void step(int line) {
    if (++steps_ > kMaxSteps) wrong(line, "more than {} steps", kMaxSteps);
  }
  void charge(size_t bytes, int line) {
    if ((bytes_ += bytes) > kMaxBytes) wrong(line, "more than {} MiB of text", kMaxBytes >> 20);
  }

  const Value* find(const std::string& name) const {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      for (const auto& [known, value] : *scope)
        if (known == name) return &value;
    }
    return nullptr;
  }
  static void assign(Scope& scope, const std::string& name, Value value) {
    for (auto& [known, old] : scope) {
      if (known == name) return void(old = std::move(value));
    }
    scope.emplace_back(name, std::move(value));
  }

  void run(const Block& block) {
    for (const Statement& statement : block) {
      step(statement.line);
      switch (statement.kind) {
        case Statement::Kind::kText:
          out_.append(Text(statement.name));
          break;
        case Statement::Kind::kOutput:
          out_.append(to_text(eval(*statement.expressions[0]), statement.line));
          break;
        case Statement::Kind::kSet:
          run_set(statement);
          break;
        case Statement::Kind::kFor:
          run_for(statement);
          break;
        case Statement::Kind::kIf:
          run_if(statement);
          break;
      }
      charge(statement.kind == Statement::Kind::kText ? statement.name.size() : 0, statement.line);
    }
  }

  void run_set(const Statement& set) {
    Value value = eval(*set.expressions[0]);
    if (set.attribute.empty()) return assign(scopes_.back(), set.name, std::move(value));
    const Value* target = find(set.name);
    if (!target || !std::holds_alternative<Object>(target->is))
      wrong(set.line, "'{}' is no namespace", set.name);
    // An object that holds itself would never be freed.
    if (std::holds_alternative<List>(value.is) || std::holds_alternative<Object>(value.is))
      wrong(set.line, "'{}.{}' can hold a plain value only", set.name, set.attribute);
    assign(*std::get<Object>(target->is), set.attribute, std::move(value));
  }

  void run_for(const Statement& loop) {
    const Value over = eval(*loop.expressions[0]);
    if (std::holds_alternative<Undefined>(over.is)) return;
    if (!std::holds_alternative<List>(over.is)) wrong(loop.line, "'for' needs a list");
    const auto& items = *std::get<List>(over.is);
    const auto count = int64_t(items.size());
    for (int64_t i = 0; i < count; ++i) {
      step(loop.line);
      auto state = std::make_shared<Scope>();
      *state = {{"index", {i + 1}},
                {"index0", {i}},
                {"first", {i == 0}},
                {"last", {i + 1 == count}},
                {"length", {count}}};
      scopes_.push_back({{loop.name, items[size_t(i)]}, {"loop", {std::move(state)}}});
      run(loop.blocks[0]);
      scopes_.pop_back();
    }
  }

  void run_if(const Statement& branch) {
    size_t i = 0;
    while (i < branch.expressions.size() && !truth(eval(*branch.expressions[i]))) ++i;
    if (i < branch.blocks.size()) run(branch.blocks[i]);
  }

  // As Python prints it.
  Text to_text(Value value, int line) const {
    if (is_text(value)) return std::get<Text>(std::move(value.is));
    if (std::holds_alternative<Undefined>(value.is)) return Text();
    if (std::holds_alternative<None>(value.is)) return Text("None");
    if (const bool* b = std::get_if<bool>(&value.is)) return Text(*b ? "True" : "False");
    if (const int64_t* i = std::get_if<int64_t>(&value.is)) return Text(std::to_string(*i));
    wrong(line, "a list or an object cannot be printed");
  }

  Value eval(const Expression& e) {
    step(e.line);
    Value value = compute(e);
    if (is_text(value)) charge(std::get<Text>(value.is).size(), e.line);
    return value;
  }

  Value compute(const Expression& e) {
    switch (e.kind) {
      case Kind::kLiteral:
        return e.value;
      case Kind::kList: {
        auto list = std::make_shared<std::vector<Value>>();
        for (const auto& part : e.parts) list->push_back(eval(*part));
        return {std::move(list)};
      }
      case Kind::kName: {
        const Value* value = find(e.name);
        return value ? *value : Value{};
      }
      case Kind::kMember:
        return member(e);
      case Kind::kCall:
        return call(e);
      case Kind::kMethod:
        return method(e);
      case Kind::kFilter:
        return filter(e);
      case Kind::kTest:
        return test(e);
      case Kind::kNot:
        return {!truth(eval(*e.parts[0]))};
      // As in Python, the operand that decides is the value.
      case Kind::kAnd: {
        Value left = eval(*e.parts[0]);
        return truth(left) ? eval(*e.parts[1]) : left;
      }
      case Kind::kOr: {
        Value left = eval(*e.parts[0]);
        return truth(left) ? left : eval(*e.parts[1]);
      }
      case Kind::kBinary:
        return binary(e);
      case Kind::kConditional:
        return truth(eval(*e.parts[1])) ? eval(*e.parts[0]) : eval(*e.parts[2]);
    }
    SH_ASSERT(false);
  }

  Value member(const Expression& e) {
    const Value object = eval(*e.parts[0]), key = eval(*e.parts[1]);
    if (std::holds_alternative<Undefined>(object.is))
      wrong(e.line, "'{}' is undefined", e.parts[0]->name.empty() ? "the value" : e.parts[0]->name);
    if (const Object* members = std::get_if<Object>(&object.is); members && is_text(key)) {
      const std::string name = flat(key);
      for (const auto& [known, value] : **members)
        if (known == name) return value;
      return {};
    }
    if (const List* list = std::get_if<List>(&object.is)) {
      const int64_t* index = std::get_if<int64_t>(&key.is);
      const auto size = int64_t((*list)->size());
      if (!index || *index >= size || *index < -size) return {};
      return (**list)[size_t(*index < 0 ? *index + size : *index)];
    }
    if (is_text(object) && !is_text(key)) wrong(e.line, "characters of a string cannot be picked");
    return {};
  }

  Value call(const Expression& e) {
    if (e.name == "raise_exception" && e.parts.size() == 1 && e.keys.empty())
      fail(Exit::kUsage, "{}", to_text(eval(*e.parts[0]), e.line).flat());
    if (e.name == "namespace" && e.parts.size() == e.keys.size()) {
      auto members = std::make_shared<Scope>();
      for (size_t i = 0; i < e.keys.size(); ++i) {
        Value value = eval(*e.parts[i]);
        assign(*members, e.keys[i], std::move(value));
      }
      return {std::move(members)};
    }
    wrong(e.line,
          "call of '{}' is not supported; known: raise_exception(text), namespace(name=value, …)",
          e.name);
  }

  Value method(const Expression& e) {
    const Value object = eval(*e.parts[0]);
    if (!is_text(object)) wrong(e.line, "'.{}()' needs a string", e.name);
    if (e.name == "strip" && e.parts.size() == 1) return {std::get<Text>(object.is).trimmed()};
    if ((e.name == "startswith" || e.name == "endswith") && e.parts.size() == 2) {
      const Value part = eval(*e.parts[1]);
      if (!is_text(part)) wrong(e.line, "'.{}()' needs a string", e.name);
      return {e.name == "startswith" ? flat(object).starts_with(flat(part))
                                     : flat(object).ends_with(flat(part))};
    }
    wrong(e.line,
          "method '.{}()' is not supported; known: strip(), startswith(text), endswith(text)",
          e.name);
  }

  Value filter(const Expression& e) {
    const Value value = eval(*e.parts[0]);
    if (e.name == "trim") return {to_text(value, e.line).trimmed()};
    if (e.name == "length") {
      if (const List* list = std::get_if<List>(&value.is)) return {int64_t((*list)->size())};
      wrong(e.line, "'length' needs a list");
    }
    wrong(e.line, "filter '{}' is not supported; known: trim, length", e.name);
  }

  Value test(const Expression& e) {
    const Value value = eval(*e.parts[0]);
    if (e.name == "defined") return {!std::holds_alternative<Undefined>(value.is)};
    if (e.name == "none") return {std::holds_alternative<None>(value.is)};
    if (e.name == "string") return {is_text(value)};
    wrong(e.line, "test 'is {}' is not supported; known: defined, none, string", e.name);
  }

  Value binary(const Expression& e) {
    Value left = eval(*e.parts[0]), right = eval(*e.parts[1]);
    if (e.name == "==") return {equal(left, right, e.line)};
    if (e.name == "!=") return {!equal(left, right, e.line)};
    if (e.name == "in") return {contains(right, left, e.line)};
    if (e.name == "~")
      return {joined(to_text(std::move(left), e.line), to_text(std::move(right), e.line))};
    const int64_t* a = std::get_if<int64_t>(&left.is);
    const int64_t* b = std::get_if<int64_t>(&right.is);
    if (e.name == "+") {
      if (is_text(left) && is_text(right))
        return {joined(std::get<Text>(std::move(left.is)), std::get<Text>(right.is))};
      int64_t sum = 0;
      if (a && b && !__builtin_add_overflow(*a, *b, &sum)) return {sum};
      wrong(e.line, "'+' needs two strings or two numbers");
    }
    if (!a || !b) wrong(e.line, "'{}' needs two numbers", e.name);
    if (e.name == "<") return {*a < *b};
    if (e.name == ">") return {*a > *b};
    return {e.name == "<=" ? *a <= *b : *a >= *b};
  }

  static Text joined(Text left, const Text& right) {
    left.append(right);
    return left;
  }

  bool equal(const Value& a, const Value& b, int line) const {
    if (is_text(a) && is_text(b)) return flat(a) == flat(b);
    const auto number = [](const Value& v) -> const int64_t* {
      return std::get_if<int64_t>(&v.is);
    };
    if (number(a) && number(b)) return *number(a) == *number(b);
    if (a.is.index() != b.is.index()) return false;
    if (const bool* flag = std::get_if<bool>(&a.is)) return *flag == std::get<bool>(b.is);
    if (std::holds_alternative<List>(a.is) || std::holds_alternative<Object>(a.is))
      wrong(line, "lists and objects cannot be compared");
    return true;
  }

  bool contains(const Value& whole, const Value& part, int line) const {
    if (is_text(whole) && is_text(part)) return flat(whole).find(flat(part)) != std::string::npos;
    if (const List* list = std::get_if<List>(&whole.is))
      return std::any_of((*list)->begin(), (*list)->end(),
                         [&](const Value& v) { return equal(v, part, line); });
    if (const Object* object = std::get_if<Object>(&whole.is); object && is_text(part)) {
      const std::string name = flat(part);
      return std::any_of((*object)->begin(), (*object)->end(),
                         [&](const auto& m) { return m.first == name; });
    }
    wrong(line, "'in' needs a list, an object or two strings");
  }

  const std::string& source_;
  std::vector<Scope> scopes_;
  Text out_;
  int64_t steps_ = 0;
  size_t bytes_ = 0;
};

}  // namespace

Text::Text(std::string bytes, bool outside) {
  if (!bytes.empty()) runs_.push_back({std::move(bytes), outside});
}

void Text::append(const Text& other) {
  for (const Run& run : other.runs_) {
    if (!runs_.empty() && runs_.back().outside == run.outside) {
      runs_.back().bytes += run.bytes;
    } else {
      runs_.push_back(run);
    }
  }
}

std::string Text::flat() const {
  std::string all;
  for (const Run& run : runs_) all += run.bytes;
  return all;
}

size_t Text::size() const {
  size_t total = 0;
  for (const Run& run : runs_) total += run.bytes.size();
  return total;
}

Text Text::trimmed() const {
  Text out = *this;
  while (!out.runs_.empty()) {
    std::string& first = out.runs_.front().bytes;
    first.erase(0, std::min(first.find_first_not_of(kSpace), first.size()));
    if (!first.empty()) break;
    out.runs_.erase(out.runs_.begin());
  }
  while (!out.runs_.empty()) {
    std::string& last = out.runs_.back().bytes;
    last.erase(last.find_last_not_of(kSpace) + 1);
    if (!last.empty()) break;
    out.runs_.pop_back();
  }
  return out;
}

Text render(const Template& parsed, std::vector<std::pair<std::string, Value>> variables) {
  return Renderer(parsed, std::move(variables)).take();
}

}  // namespace shenhong::jinja
