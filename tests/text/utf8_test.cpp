#include "text/utf8.h"

#include <gtest/gtest.h>

#include "text/fixture.h"
#include "text/normalize.h"

namespace shenhong {
namespace {

TEST(Utf8, every_code_point_survives_writing_and_reading) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    append_utf8(text, c);
    const CodePoint read = code_point_at(text, 0);
    ASSERT_TRUE(read.valid && read.value == c && size_t(read.bytes) == text.size()) << uint32_t(c);
    ASSERT_TRUE(is_valid_utf8(text));
    for (size_t part = 1; part < text.size(); ++part) {
      ASSERT_TRUE(is_incomplete_character(std::string_view(text).substr(0, part)));
      ASSERT_FALSE(is_incomplete_character(std::string_view(text).substr(part)));
    }
    ASSERT_FALSE(is_incomplete_character(text));
  }
}

TEST(Utf8, broken_bytes_become_one_replacement_per_maximal_subpart) {
  // Unicode 15, tables 3-8 to 3-11; Python's bytes.decode("utf-8", "replace") gives the same.
  EXPECT_EQ(sanitise_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), "��������A");
  EXPECT_EQ(sanitise_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), "��������A");
  EXPECT_EQ(sanitise_utf8("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"), "�����A��B");
  EXPECT_EQ(sanitise_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), "����A");
}

TEST(Utf8, valid_text_is_what_sanitising_leaves_alone) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const std::string good = random_text(seed, 30), bad = random_bytes(seed, 30);
    EXPECT_TRUE(is_valid_utf8(good));
    EXPECT_EQ(sanitise_utf8(good), good);
    EXPECT_EQ(is_valid_utf8(bad), sanitise_utf8(bad) == bad);
    EXPECT_TRUE(is_valid_utf8(sanitise_utf8(bad)));
    EXPECT_EQ(count_characters(bad), count_characters(sanitise_utf8(bad)));
  }
}

TEST(Utf8, han_are_ideographs_and_not_kana_or_punctuation) {
  for (const char32_t c : std::u32string_view(U"一龥鿿㐀𠀀𰻞〇豈"))
    EXPECT_TRUE(is_han(c)) << uint32_t(c);
  for (const char32_t c : std::u32string_view(U"aéあカ，。ー한"))
    EXPECT_FALSE(is_han(c)) << uint32_t(c);
}

TEST(Normalize, nfc_composes_and_repairs) {
  EXPECT_EQ(nfc("e\xCC\x81"), "é");
  EXPECT_EQ(nfc("한글"), "한글");
  EXPECT_EQ(nfc("plain 中文"), "plain 中文");
  EXPECT_EQ(nfc("a\xFF"), "a\xEF\xBF\xBD");
  EXPECT_EQ(nfc(""), "");
}

TEST(Normalize, half_width_covers_ascii_and_can_leave_punctuation) {
  EXPECT_EQ(to_half_width("ＡＢｚ０９！，　x。"), "ABz09!, x。");
  EXPECT_EQ(to_half_width("ＡＢｚ０９！，　x。", true), "ABz09！，　x。");
}

}  // namespace
}  // namespace shenhong
