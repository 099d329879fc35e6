#include "text/named_pretokenizers.h"

#include <vector>

#include "text/pretokenizer.h"

namespace shenhong {
namespace {

Json split(const char* pattern) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", pattern}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

Json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

Json sequence(std::vector<Json> steps) {
  return {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
}

// Of DeepSeek's older ones: Han, Hangul, and what lies between Cyrillic and Han.
constexpr const char* kIdeographs = "[一-龥ࠀ-一가-퟿]+";

const std::vector<NamedPretokenizer>& all() {
  static const std::vector<NamedPretokenizer> known = {
      {"deepseek-v3", deepseek_pretokenizer(), false, true},
      // DeepSeek V2's and the first DeepSeek's: the letters that have case, then punctuation.
      {"deepseek-llm",
       sequence({split("[\r\n]"),
                 split("\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-"
                       "Ᏽᏸ-"
                       "ᏽᲐ-"
                       "ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-"
                       "ῼℂℇℊ-"
                       "ℓℕℙ-"
                       "ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-"
                       "ｚ𐐀-"
                       "𐑏𐒰-𐓓𐓘-𐓻"
                       "𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+"),
                 split("\\s?[!-/:-~！-／：-～‘-‟　-。]+"), split("\\s+$"), split(kIdeographs),
                 split("\\p{N}+"), byte_level(false)}),
       false, true},
      {"deepseek-coder",
       sequence({split("[\r\n]"), split("\\s?\\p{L}+"), split("\\s?\\p{P}+"), split(kIdeographs),
                 split("\\p{N}"), byte_level(false)}),
       false, true},
      // Llama 3's: words with what stands before them, up to three digits.
      {"llama-bpe",
       sequence({split("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
                       "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"),
                 byte_level(false)}),
       true, true},
      // The same with digits one by one.
      {"qwen2",
       sequence({split("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
                       "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"),
                 byte_level(false)}),
       false, false},
      {"smollm", sequence({{{"type", "Digits"}, {"individual_digits", true}}, byte_level(true)}),
       false, false},
      {"gpt-2", byte_level(true), false, false},
  };
  return known;
}

}  // namespace

const NamedPretokenizer* find_pretokenizer(std::string_view name) {
  for (const NamedPretokenizer& known : all())
    if (known.name == name) return &known;
  return nullptr;
}

std::string pretokenizer_names() {
  std::string names;
  for (const NamedPretokenizer& known : all()) {
    if (!names.empty()) names += ", ";
    names += "'" + std::string(known.name) + "'";
  }
  return names;
}

}  // namespace shenhong
