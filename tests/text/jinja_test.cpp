// Faults of templates; what well-formed ones render to is checked against transformers in
// chat_template_test.cpp.
#include "text/jinja.h"

#include <gtest/gtest.h>

#include "text/fixture.h"

namespace shenhong::jinja {
namespace {

std::string fault(const std::string& text) {
  return error_of(Exit::kBadInput, [&] {
    const List list = std::make_shared<std::vector<Value>>(3, Value{int64_t(1)});
    render(*parse(text, "t"), {{"list", {list}}, {"s", {Text("text")}}});
  });
}

TEST(Jinja, what_is_outside_the_subset_is_named_with_its_line) {
  const auto names = [](const std::string& text, const std::string& part) {
    const std::string error = fault(text);
    EXPECT_NE(error.find(part), std::string::npos)
        << text << "\nwanted: " << part << "\ngot:    " << error;
  };
  EXPECT_EQ(fault("fine {{ s }}"), "");
  names("a\n{% macro f() %}{% endmacro %}", "t:2: unexpected 'macro'");
  names("{% if true %}", "t:1: unexpected 'end of the template'");
  names("{% endif %}", "unexpected");
  names("{% if true %}{% endfor %}", "unexpected");
  names("{{ s", "'}}' is missing");
  names("{{ 's }}", "closing quote");
  names("{# s", "comment without");
  names("{{ s[1:] }}", "unexpected ':'");
  names("{{ s | upper }}", "filter 'upper'");
  names("{{ s is odd }}", "test 'is odd'");
  names("{{ s.upper() }}", "method '.upper()'");
  names("{{ range(3) }}", "call of 'range'");
  names("{{ 1 * 2 }}", "unexpected '*'");
  names("{{ '\\x41' }}", "escape '\\x'");
  names("{{ 12345678901 }}", "more than 9 digits");
  names("\n\n{{ nothing.member }}", "t:3: 'nothing' is undefined");
  names("{{ s + 1 }}", "'+' needs");
  names("{{ s < 1 }}", "'<' needs");
  names("{{ list }}", "cannot be printed");
  names("{{ list == list }}", "cannot be compared");
  names("{{ 1 in 2 }}", "'in' needs");
  names("{{ s[0] }}", "cannot be picked");
  names("{% for x in s %}{% endfor %}", "'for' needs a list");
  names("{% set s.x = 1 %}", "'s' is no namespace");
  names("{% set n = namespace() %}{% set n.self = n %}", "plain value");
  names("\xFF", "UTF-8");
  names("{{ \xFF }}", "UTF-8");
  names("{{ ￥ }}", "unexpected");
}

TEST(Jinja, nothing_grows_without_limit) {
  std::string nested, chain = "{{ s", blocks;
  for (int i = 0; i < 5000; ++i) nested += "(", chain += " + s", blocks += "{% if true %}";
  EXPECT_NE(fault("{{ " + nested + " }}").find("nested deeper"), std::string::npos);
  EXPECT_NE(fault(chain + " }}").find("levels"), std::string::npos);
  EXPECT_NE(fault(blocks).find("nested deeper"), std::string::npos);
  EXPECT_NE(fault(std::string(2 << 20, 'x')).find("limit"), std::string::npos);
  std::string loops, doubling = "{% set x = 'xxxxxxxx' %}";
  for (int i = 0; i < 20; ++i) loops += "{% for i in list %}";
  for (int i = 0; i < 20; ++i) loops += "{% endfor %}";
  for (int i = 0; i < 60; ++i) doubling += "{% set x = x + x %}";
  EXPECT_NE(fault(loops).find("steps"), std::string::npos);
  EXPECT_NE(fault(doubling).find("MiB of text"), std::string::npos);
}

TEST(Jinja, damaged_templates_end_in_an_error_or_a_text) {
  const std::string good =
      "{% set n = namespace(a=1) %}{%- for x in list -%}{{ loop.first ~ s[1] }}{% endfor %}{# #}{{ "
      "'a' if n.a == 1 else \"b\" }}";
  const std::string signs = "{}%#-+'\"()[].|~= \nanif";
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    std::string bad = good;
    for (uint64_t i = 0; i <= seed % 4; ++i)
      bad[size_t(uniform_below(bad.size(), seed, 1, i))] =
          signs[size_t(uniform_below(signs.size(), seed, 2, i))];
    fault(bad.substr(0, size_t(uniform_below(bad.size() + 1, seed, 3, 0))));
    fault(bad);
  }
}

}  // namespace
}  // namespace shenhong::jinja
