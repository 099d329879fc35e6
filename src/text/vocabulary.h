// What tokenizer.json says, checked: the tokens, the merge rules and the way to cut words.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/json.h"
#include "text/merges.h"
#include "text/pretokenizer.h"

namespace shenhong {

// Immutable. The maps' keys point into `tokens`, whose strings never move.
struct Vocabulary {
  std::vector<std::string> tokens;  // by id: bytes, or a special token's name
  std::vector<bool> special;        // by id
  std::unordered_map<std::string_view, int> ordinary_ids;  // by bytes
  std::unordered_map<std::string_view, int> special_ids;   // by name
  std::vector<size_t> special_lengths;  // the different lengths of the names, longest first
  std::string special_first;            // the different first bytes of the names
  Pretokenizer pretokenizer;
  Merges merges;
  bool ignore_merges;  // a word that is a token is that token, whatever the rules make of it
};

// Error(kBadInput) names `source` and the entry that is missing, broken or not supported.
Vocabulary read_vocabulary(const Json& document, const std::string& source);

// The tokenizer.json of a byte-level BPE. `tokens` are bytes by id, the first ones the names of
// special tokens; merges are pairs of ids.
std::string write_vocabulary(const std::vector<std::string>& tokens, size_t special_tokens,
                             const std::vector<std::pair<int, int>>& merges);

// The same document around parts that are written already: model.vocab, added_tokens (see
// added_token), model.merges, pre_tokenizer and model.ignore_merges.
std::string write_vocabulary(Json::object_t vocab, Json added, Json merges, Json pre_tokenizer,
                             bool ignore_merges);

// One entry of added_tokens.
Json added_token(size_t id, const std::string& name, bool special);

}  // namespace shenhong
