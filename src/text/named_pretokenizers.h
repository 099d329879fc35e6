// Ways of cutting text into words that go by a name in GGUF (tokenizer.ggml.pre) instead of being
// described.
#pragma once

#include <string>
#include <string_view>

#include "core/json.h"

namespace shenhong {

struct NamedPretokenizer {
  std::string_view name;
  Json description;    // as "pre_tokenizer" of tokenizer.json has it
  bool ignore_merges;  // as "model.ignore_merges" of tokenizer.json
  bool adds_bos;       // whether a text begins with BOS where the file does not say
};

// nullptr when there is none of that name.
const NamedPretokenizer* find_pretokenizer(std::string_view name);
// "'deepseek-v3', 'llama-bpe', ...": for messages.
std::string pretokenizer_names();

}  // namespace shenhong
