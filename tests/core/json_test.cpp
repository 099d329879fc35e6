#include "core/json.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/fields.h"

namespace shenhong {
namespace {

std::string error_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(Json, broken_text_is_reported_with_line_and_column) {
  EXPECT_TRUE(error_of([] {
                parse_json("{\n \"a\": ]}", "x.json");
              }).starts_with("x.json:2:7: not valid JSON"));
}

TEST(Json, a_key_given_twice_is_refused) {
  EXPECT_EQ(error_of([] { parse_json(R"({"a":1,"a":2})", "x.json"); }),
            "x.json: key \"a\" is given twice");
}

TEST(Json, nesting_is_bounded) {
  const std::string bomb(1'000'000, '[');
  EXPECT_EQ(error_of([&] { parse_json(bomb, "x.json"); }), "x.json: nested deeper than 64 levels");
}

TEST(Json, broken_utf8_is_written_as_replacement_character) {
  EXPECT_EQ(dump_json(Json("a\xff")), "\"a\uFFFD\"");
}

struct Inner {
  double lr = 0.5;
  template <class Visit>
  void fields(Visit&& v) {
    v("lr", lr, "rate");
  }
};
struct Outer {
  int steps = 3;
  std::string name = "x";
  Inner inner;
  template <class Visit>
  void fields(Visit&& v) {
    v("steps", steps, "");
    v("name", name, "");
    v("inner", inner, "");
  }
};

TEST(Fields, json_round_trips) {
  Outer a;
  a.steps = 9;
  a.inner.lr = 0.25;
  Outer b;
  fields_from_json(b, fields_to_json(a), "test");
  EXPECT_TRUE(fields_equal(a, b));
  EXPECT_FALSE(fields_equal(a, Outer{}));
}

TEST(Fields, an_unknown_key_lists_the_known_ones) {
  Outer o;
  EXPECT_EQ(error_of([&] {
              fields_from_json(o, Json{{"stepz", 1}}, "recipe [x]");
            }),
            "recipe [x]: unknown key 'stepz'; known: steps, name, inner");
}

TEST(Fields, a_value_of_the_wrong_type_is_named) {
  Outer o;
  EXPECT_EQ(error_of([&] {
              fields_from_json(o, Json{{"steps", 1.5}}, "r");
            }),
            "r: steps = 1.5: want an integer");
  EXPECT_EQ(error_of([&] {
              fields_from_json(o, Json{{"inner", {{"lr", "a"}}}}, "r");
            }),
            "r.inner: lr = \"a\": want a number");
}

}  // namespace
}  // namespace shenhong
