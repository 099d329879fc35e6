#include "formats/toml.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace shenhong {
namespace {

std::string why_not(const std::string& text) {
  try {
    parse_toml(text, "recipe.toml");
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Exit::kBadInput);
    return e.what();
  }
  return "";
}

std::string repeat(const std::string& piece, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += piece;
  return out;
}

TEST(Toml, a_recipe_becomes_the_same_json) {
  const Json json = parse_toml(R"(
# the bundled model
name = "mini"
[train]
lr = 2e-3
steps = 1_000
resume = true
note = """a.b.c. d.e ... """
[[train.source]]
path = 'data\poems'
weight = 1.0
[[train.source]]
path = "深红"
)",
                               "recipe.toml");
  EXPECT_EQ(json, parse_json(R"({"name": "mini", "train": {"lr": 0.002, "note": "a.b.c. d.e ... ",
      "resume": true, "source": [{"path": "data\\poems", "weight": 1.0}, {"path": "深红"}],
      "steps": 1000}})",
                             "expected"));
  EXPECT_TRUE(json["train"]["steps"].is_number_integer());
  EXPECT_TRUE(json["train"]["source"][0]["weight"].is_number_float());
}

TEST(Toml, errors_name_line_and_column) {
  EXPECT_NE(why_not("a = 1\nb = = 2\n").find("recipe.toml:2:5"), std::string::npos);
  EXPECT_NE(why_not("a = 1\na = 2\n").find("recipe.toml:2:"), std::string::npos);
  EXPECT_NE(why_not("a = 1\nwhen = 2024-01-01\n").find("recipe.toml:2:8: dates"),
            std::string::npos);
  EXPECT_NE(why_not("x = inf\n").find("recipe.toml:1:5: want a finite"), std::string::npos);
  EXPECT_NE(why_not("x = \"\xff\"\n"), "");
}

TEST(Toml, depth_and_size_are_bounded) {
  EXPECT_EQ(why_not("a = " + repeat("[", 15) + repeat("]", 15)), "");
  EXPECT_NE(why_not("a = " + repeat("[", 17) + repeat("]", 17)), "");
  EXPECT_NE(why_not("a = " + repeat("[", 100000)), "");
  EXPECT_NE(why_not("a = " + repeat("{a=", 100000)), "");
  EXPECT_NE(why_not(repeat("a.", 100000) + "a = 1").find("dotted key"), std::string::npos);
  EXPECT_NE(why_not("x=1\n[" + repeat("'a' . ", 100000) + "a]").find("recipe.toml:2:"),
            std::string::npos);
  EXPECT_NE(why_not(std::string((8 << 20) + 1, '\n')).find("at most"), std::string::npos);
}

}  // namespace
}  // namespace shenhong
