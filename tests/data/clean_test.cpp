#include "data/clean.h"

#include <gtest/gtest.h>

#include "text/simplify.h"

namespace shenhong {
namespace {

SourceConfig plain() { return {}; }

DropReason reason(const std::string& text, const SourceConfig& source) {
  Document document;
  document.text = clean_text(text, source);
  return reason_to_drop(document, source);
}

TEST(Clean, layout_is_made_one) {
  EXPECT_EQ(clean_text("\n\n\r\n甲 \t\r\n\n\n\n乙\n\n", plain()), "甲\n\n乙");
  EXPECT_EQ(clean_text("　　首行缩进　　中间\xC2\xA0空格　", plain()), "首行缩进 中间 空格");
  EXPECT_EQ(clean_text("if x:\n    return  1", plain()), "if x:\n    return  1");
  EXPECT_EQ(clean_text("\xEF\xBB\xBF零​宽\x01字\x7F符", plain()), "零宽字符");
}

TEST(Clean, text_becomes_valid_utf8_in_nfc) {
  EXPECT_EQ(clean_text("cafe\xCC\x81 \xFF!", plain()), "café \uFFFD!");
}

TEST(Clean, cleaning_twice_changes_nothing) {
  SourceConfig source;
  source.simplify = source.half_width = true;
  for (const char* text : {"　羣山Ａ１，\r\n\r\n\r\n「衆」人 ", "  x\t \n　y", "a\xCC\x80\xFF\n"}) {
    const std::string once = clean_text(text, source);
    EXPECT_EQ(clean_text(once, source), once);
  }
}

TEST(Clean, half_width_touches_letters_and_digits_but_no_chinese_punctuation) {
  SourceConfig source;
  source.half_width = true;
  EXPECT_EQ(clean_text("ＡＢＣ１２３，你好！（一）", source), "ABC123，你好！（一）");
}

TEST(Clean, simplified_covers_the_variants_that_opencc_leaves) {
  EXPECT_EQ(simplified("爲衆羣劒隠疎簷鴈"), "为众群剑隐疏檐雁");
  EXPECT_EQ(simplified("乾坤著作看著「道」"), "乾坤著作看着“道”");
  EXPECT_EQ(simplified("來日綺窗前，寒梅著花未。名著顯著，著《史記》。著"),
            "来日绮窗前，寒梅着花未。名著显著，著《史记》。着");
  EXPECT_EQ(simplified(""), "");
}

TEST(Clean, documents_are_dropped_for_the_reason_that_holds) {
  SourceConfig source;
  EXPECT_EQ(reason("好", source), nullptr);
  EXPECT_EQ(reason(" \n ", source), &DropCounts::empty);
  source.min_chars = 5;
  EXPECT_EQ(reason("四 个 字 吗", source), &DropCounts::too_short);
  source.max_chars = 6;
  EXPECT_EQ(reason("一二三四五六七", source), &DropCounts::too_long);
  source.max_chars = 0;
  source.unwanted = {"□"};
  EXPECT_EQ(reason("春风又绿□南岸", source), &DropCounts::unwanted);
  EXPECT_EQ(reason("乱码\xFF\xFE\xFF文字", source), &DropCounts::garbage);
  source.min_han_share = 0.5;
  EXPECT_EQ(reason("only English 中文", source), &DropCounts::few_han);
  EXPECT_EQ(reason("中文为主的 text", source), nullptr);
  source.max_repeated_lines = 0.3;
  EXPECT_EQ(reason("一行文字\n一行文字\n另一行文字", source), &DropCounts::repeated_lines);
}

TEST(Clean, metadata_is_cleaned_like_the_text) {
  SourceConfig source;
  source.simplify = true;
  Document document;
  document.text = "詩";
  document.meta = {{"title", "登鸛雀樓"}, {"tags", {"黃河"}}};
  clean_document(document, source);
  EXPECT_EQ(document.meta["title"], "登鹳雀楼");
  EXPECT_EQ(document.meta["tags"][0], "黄河");
}

TEST(Clean, the_heading_of_a_poem_gains_form_and_rhyme) {
  const auto cleaned = [](const char* kind, const std::string& text) {
    Document document;
    document.text = text;
    document.meta = {{"kind", kind}};
    clean_document(document, plain());
    return document.text;
  };
  const std::string lines = "\n床前明月光，疑是地上霜。\n举头望明月，低头思故乡。";
  EXPECT_EQ(cleaned("诗", "《静夜思》唐·李白" + lines), "《静夜思》唐·李白·五绝·阳韵" + lines);
  EXPECT_EQ(cleaned("诗", "《静夜思》" + lines), "《静夜思》五绝·阳韵" + lines);
  for (const std::string same :
       {"《静夜思》唐·李白\n床前明月光，疑是地上雪。", "《静夜思》唐·李白", "静夜思"})
    EXPECT_EQ(cleaned("诗", same), same);
  EXPECT_EQ(cleaned("词", "《生查子》" + lines), "《生查子》" + lines);
}

TEST(Clean, letters_forget_punctuation_layout_and_case) {
  EXPECT_EQ(letters_of("床前，明月 光！\nABC 12"), letters_of("床前明月光abc12"));
  EXPECT_NE(letters_of("床前明月光"), letters_of("床前看月光"));
}

}  // namespace
}  // namespace shenhong
