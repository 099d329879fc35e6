// A small tokenizer trained on the spot, and texts to try it with.
#pragma once

#include <string>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/random.h"
#include "text/bpe_train.h"
#include "text/utf8.h"

namespace shenhong {

inline Json golden(const std::string& name) {
  const fs::path path = fs::path(SHENHONG_SOURCE_DIR) / "tests/golden/text" / name;
  return parse_json(read_file(path), path.string());
}

inline const Tokenizer& small_tokenizer() {
  static const Tokenizer tokenizer = [] {
    BpeTrainer trainer;
    trainer.add(golden("training.json")["text"].get<std::string>());
    return trainer.train(500);
  }();
  return tokenizer;
}

// Characters of 1 to 4 bytes, with words among them.
inline std::string random_text(uint64_t seed, int characters) {
  const char* const words[] = {"the ", "春风", "ing", "\r\n", "  ", "明月", "<kg_e>", "<｜User｜>"};
  std::string text;
  for (int i = 0; i < characters; ++i) {
    const uint64_t kind = uniform_below(6, seed, 0, uint64_t(i));
    const uint64_t pick = uniform_below(1 << 20, seed, 1, uint64_t(i));
    if (kind == 0) text += words[pick % std::size(words)];
    if (kind == 1) append_utf8(text, char32_t(pick % 0x80));
    if (kind == 2) append_utf8(text, char32_t(0x80 + pick % 0x780));
    if (kind == 3) append_utf8(text, char32_t(0x4E00 + pick % 0x5200));
    if (kind == 4) append_utf8(text, char32_t(0xE000 + pick % 0x2000));
    if (kind == 5) append_utf8(text, char32_t(0x10000 + pick));
  }
  return text;
}

inline std::string random_bytes(uint64_t seed, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += char(uniform_below(256, seed, 2, uint64_t(i)));
  return text;
}

// The text of the error that `run` ends with; empty when it does not fail, or not with `code`.
template <class Run>
std::string error_of(Exit code, Run&& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.code() == code ? error.what() : "";
  }
  return "";
}

}  // namespace shenhong
