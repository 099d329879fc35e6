// The first step of encoding: cutting text into words that no token crosses, as "pre_tokenizer" of
// tokenizer.json describes it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace shenhong {

// DeepSeek-V3's: up to three digits, runs of Chinese and Kana, then words, punctuation and space.
Json deepseek_pretokenizer();

// Immutable, safe to share between threads.
class Pretokenizer {
 public:
  // A "Split" (a regular expression, behaviour "Isolated"), "Digits" or a "Sequence" of those, then
  // "ByteLevel" without a prefix space, which is what the bytes of our vocabulary mean; its regular
  // expression is GPT-2's. Error(kBadInput) names `source` and the entry that is anything else.
  Pretokenizer(const Json& description, const std::string& source);
  ~Pretokenizer();
  Pretokenizer(Pretokenizer&&) noexcept;
  Pretokenizer& operator=(Pretokenizer&&) noexcept;

  // `text` must be valid UTF-8. The words, put together, are the text. Error(kBadInput) when an
  // expression needs more than its share of steps.
  void split(std::string_view text, std::vector<std::string_view>& words) const;

 private:
  class Expression;
  void add(const Json& description, const std::string& where, int depth);
  std::vector<std::unique_ptr<const Expression>> expressions_;
  bool byte_level_ = false;
};

}  // namespace shenhong
