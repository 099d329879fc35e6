#include "data/poem.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/error.h"
#include "data/line_index.h"
#include "data/rhyme.h"

namespace shenhong {
namespace {

constexpr const char* kQuietNight =
    "《静夜思》\n床前明月光，疑是地上霜。\n举头望明月，低头思故乡。";

std::string rhyme_names(RhymeSet set) {
  std::string names;
  for (int group = 0; group < rhyme_group_count(); ++group) {
    if (set >> group & 1) names += (names.empty() ? "" : " ") + std::string(rhyme_name(group));
  }
  return names;
}

TEST(Poem, is_a_title_and_lines_without_marks) {
  const Poem poem = parse_poem(kQuietNight);
  EXPECT_EQ(poem.title, "静夜思");
  EXPECT_EQ(poem.lines,
            (std::vector<std::string>{"床前明月光", "疑是地上霜", "举头望明月", "低头思故乡"}));
  EXPECT_EQ(format_poem(poem.title, poem.lines), kQuietNight);
}

TEST(Poem, needs_neither_title_nor_line_breaks_and_quotation_marks_do_not_count) {
  const Poem poem = parse_poem("　借问酒家何处有？牧童遥指：“杏花村！”");
  EXPECT_EQ(poem.title, "");
  EXPECT_EQ(poem.lines, (std::vector<std::string>{"借问酒家何处有", "牧童遥指", "杏花村"}));
  EXPECT_TRUE(parse_poem("").lines.empty());
  EXPECT_TRUE(parse_poem("《只有题目》").lines.empty());
  EXPECT_EQ(parse_poem("《未完的题目\n白日依山尽").lines.size(), 2u);
}

TEST(Poem, form_is_lines_times_characters) {
  const std::string five = "白日依山尽，黄河入海流。", seven = "两个黄鹂鸣翠柳，一行白鹭上青天。";
  const auto repeated = [](const std::string& text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += text;
    return recognise_form(parse_poem(all).lines);
  };
  EXPECT_EQ(repeated(five, 2), PoemForm::kWujue);
  EXPECT_EQ(repeated(seven, 2), PoemForm::kQijue);
  EXPECT_EQ(repeated(five, 4), PoemForm::kWulv);
  EXPECT_EQ(repeated(seven, 4), PoemForm::kQilv);
  EXPECT_EQ(repeated(five, 6), PoemForm::kOldStyle);
  EXPECT_EQ(repeated(five, 1), PoemForm::kOther);
  EXPECT_EQ(recognise_form({}), PoemForm::kOther);
  EXPECT_EQ(form_name(PoemForm::kQilv), "七律");
}

TEST(Poem, one_character_too_many_or_of_another_script_breaks_the_form) {
  EXPECT_EQ(recognise_form(parse_poem("白日依山尽，黄河入海流。欲穷千里目，更上一层楼了。").lines),
            PoemForm::kOther);
  EXPECT_EQ(recognise_form(parse_poem("白日依山尽，黄河入海流。欲穷千里目，更上1层楼。").lines),
            PoemForm::kOther);
  EXPECT_EQ(line_lengths({"白日依山尽", "更上1层楼", "三字句"}), (std::vector<int>{5, 0, 3}));
}

TEST(Poem, form_and_rhyme_are_named_when_the_even_lines_rhyme) {
  const std::vector<std::string> lines = parse_poem(kQuietNight).lines;
  EXPECT_EQ(form_and_rhyme(lines), "五绝·阳韵");
  EXPECT_EQ(form_and_rhyme(parse_poem("千山鸟飞绝，万径人踪灭。孤舟蓑笠翁，独钓寒江雪。").lines),
            "五绝·第十八部入声");
  EXPECT_EQ(form_and_rhyme(parse_poem("床前明月光，疑是地上雪。举头望明月，低头思故乡。").lines),
            "");
  EXPECT_EQ(form_and_rhyme({}), "");
  EXPECT_EQ(rhyme_plan(lines), "五绝·阳韵·霜乡");
  EXPECT_EQ(rhyme_plan({}), "");
}

TEST(Poem, form_and_rhyme_in_the_heading_are_no_line) {
  const Poem poem =
      parse_poem("《静夜思》五绝·阳韵\n床前明月光，疑是地上霜。\n举头望明月，低头思故乡。");
  EXPECT_EQ(poem.title, "静夜思");
  EXPECT_EQ(poem.lines, parse_poem(kQuietNight).lines);
  EXPECT_EQ(
      parse_poem("《静夜思》五绝·阳韵·霜乡\n床前明月光，疑是地上霜。\n举头望明月，低头思故乡。")
          .lines,
      poem.lines);
  // What merely stands on the heading's row is one.
  EXPECT_EQ(parse_poem("《静夜思》床前明月光，疑是地上霜。").lines.size(), 2u);
}

TEST(Rhyme, names_the_groups_of_a_character) {
  EXPECT_EQ(rhyme_group_count(), 49);
  EXPECT_EQ(rhyme_names(rhymes_of(U'东')), "上平一东");
  EXPECT_EQ(rhyme_names(rhymes_of(U'東')), "上平一东");
  EXPECT_EQ(rhyme_names(rhymes_of(U'冬')), "上平二冬");
  EXPECT_EQ(rhyme_names(rhymes_of(U'月')), "第十八部入声");
  EXPECT_EQ(rhyme_names(rhymes_of(U'间')), "上平十五删");
  EXPECT_EQ(rhymes_of(U'a'), 0u);
  EXPECT_EQ(rhymes_of(U'𠀀'), 0u);
}

TEST(Rhyme, knows_what_modern_readings_hide) {
  EXPECT_TRUE(
      rhymes(parse_poem("远上寒山石径斜，白云生处有人家。停车坐爱枫林晚，霜叶红于二月花。").lines));
  EXPECT_TRUE(rhymes(parse_poem("千山鸟飞绝，万径人踪灭。孤舟蓑笠翁，独钓寒江雪。").lines));
  EXPECT_TRUE(rhymes(parse_poem("君自故乡来，应知故乡事。来日绮窗前，寒梅著花未。").lines));
}

TEST(Rhyme, a_changed_rhyme_word_is_caught) {
  EXPECT_TRUE(rhymes(parse_poem(kQuietNight).lines));
  EXPECT_FALSE(rhymes(parse_poem("床前明月光，疑是地上霜。举头望明月，低头思故人。").lines));
  EXPECT_FALSE(rhymes(parse_poem("床前明月光，疑是地上霜。举头望明月，低头又见霜。").lines))
      << "repeated";
  EXPECT_FALSE(rhymes(parse_poem("床前明月光，疑是地上霜。").lines)) << "one rhyme word";
  EXPECT_EQ(shared_rhymes({}), 0u);
}

TEST(LineIndex, finds_what_was_added_before_and_after_saving) {
  std::vector<uint64_t> hashes;
  const auto line = [](int i) { return fmt::format("第{}句诗在此", i); };
  for (int i = 0; i < 2000; ++i) hashes.push_back(LineIndex::hash(line(i % 1000)));
  const LineIndex index(hashes);
  EXPECT_EQ(index.size(), 1000u);
  const fs::path path = fs::path(testing::TempDir()) / fmt::format("lines_{}.idx", ::getpid());
  index.save(path);
  const LineIndex loaded = LineIndex::load(path);
  EXPECT_EQ(loaded.size(), index.size());
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(loaded.contains(line(i)));
  for (int i = 1000; i < 2000; ++i) EXPECT_FALSE(loaded.contains(line(i)));
  EXPECT_LT(fs::file_size(path), 1000u * 4);
}

TEST(LineIndex, damage_is_an_error_that_names_the_file) {
  const fs::path path = fs::path(testing::TempDir()) / fmt::format("damaged_{}.idx", ::getpid());
  LineIndex({LineIndex::hash("床前明月光"), LineIndex::hash("疑是地上霜")}).save(path);
  const std::string whole = read_file(path);
  std::string flipped = whole;
  flipped.back() ^= 1;
  for (const std::string& bytes :
       {whole.substr(0, whole.size() - 1), whole.substr(0, 10), flipped, std::string()}) {
    write_file(path, bytes);
    try {
      LineIndex::load(path);
      FAIL() << "loaded " << bytes.size() << " bytes";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(fmt::format("damaged_{}.idx", ::getpid())),
                std::string::npos);
    }
  }
}

}  // namespace
}  // namespace shenhong
