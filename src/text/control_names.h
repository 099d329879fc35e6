// The control tokens around a text, by their names.
#pragma once

#include <optional>
#include <string>

#include "core/file.h"
#include "text/special_tokens.h"

namespace shenhong {

struct ControlNames {
  std::string bos{kBos};  // empty: there is none
  std::string eos{kEos};
  std::string pad{kPad};  // where the vocabulary has none of that name, eos stands for it
  // Whether a text begins with bos; nullopt: if the post_processor of tokenizer.json says so.
  std::optional<bool> adds_bos = true;
};

// What tokenizer_config.json of a model directory names; DeepSeek-V3's where it does not or is not
// there. Error(kBadInput) on a name that is none.
ControlNames read_control_names(const fs::path& model_directory);

}  // namespace shenhong
