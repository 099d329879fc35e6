// A byte-level vocabulary as flat lists, the way GGUF holds it, and the ways from and to
// tokenizer.json.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/named_pretokenizers.h"

namespace shenhong {

struct FlatVocabulary {
  enum Kind : int32_t {  // the numbers are GGUF's; the others are not written by us
    kNormal = 1,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
  };
  std::vector<std::string> tokens;  // by id: in the byte alphabet, or a special token's plain name
  std::vector<int32_t> kinds;       // by id
  std::vector<std::string> merges;  // "left right", in order of precedence

  bool operator==(const FlatVocabulary&) const = default;
};

// `tokenizer_json` is one that Tokenizer reads. Error(kBadInput) names `source` and what the lists
// cannot say: words cut in another way than DeepSeek-V3's, or whole words before merges.
FlatVocabulary flatten_vocabulary(const std::string& tokenizer_json, const std::string& source);

// Lists of equal length. Unused tokens at the end pad the vocabulary and are left out.
std::string unflatten_vocabulary(const FlatVocabulary& flat, const NamedPretokenizer& words);

}  // namespace shenhong
