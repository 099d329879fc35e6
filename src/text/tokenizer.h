// Byte-level BPE (Sennrich et al., 2016, on bytes as in GPT-2) in the tokenizer.json format of
// Hugging Face `tokenizers`; DeepSeek-V3's own file gives the same ids as there.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "text/control_names.h"

namespace shenhong {

// Immutable, cheap to copy, safe to share between threads. Ids are 0 .. vocab_size() - 1.
//
// A *special* token is one listed under added_tokens: a control symbol, never part of ordinary
// text. Broken UTF-8 reads as U+FFFD by the rule of sanitise_utf8 (utf8.h); for valid UTF-8
// decode(encode(text)) == text.
class Tokenizer {
 public:
  // Error(kBadInput) names the file and the entry that is missing, broken or of a kind we do not
  // support. The file must define the tokens of `names` and the printable ASCII bytes; its
  // post_processor is not applied: encode() adds no token that the text does not spell.
  static Tokenizer load(const fs::path& tokenizer_json, const ControlNames& names = {});
  // The same from text; `source` names it in errors.
  static Tokenizer parse(std::string json, const std::string& source,
                         const ControlNames& names = {});
  void save(const fs::path& tokenizer_json) const;
  // The document that load() read or training made; its hash identifies the tokenizer.
  const std::string& json() const;

  // Ordinary text, whoever wrote it: a special token's name is encoded as the letters it is made
  // of.
  std::vector<int> encode(std::string_view text) const;
  // For markup that we wrote: the names of special tokens become their ids.
  std::vector<int> encode_with_special(std::string_view markup) const;
  // Always valid UTF-8. Error(kUsage) on an id outside the vocabulary.
  std::string decode(std::span<const int> ids, bool skip_special = false) const;

  int vocab_size() const;
  int bos_id() const;  // eos_id() where there is none
  int eos_id() const;
  int pad_id() const;     // eos_id() where there is none
  bool adds_bos() const;  // whether the model expects BOS before a text
  bool is_special(int id) const;
  // The token that is exactly these bytes, or the special token of this name.
  std::optional<int> token_id(std::string_view bytes) const;
  // What the token stands for: its bytes (perhaps part of a character), or a special token's name.
  // Valid as long as any copy of the tokenizer lives.
  std::string_view token_bytes(int id) const;

 private:
  struct State;
  explicit Tokenizer(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  void append_ordinary(std::string_view text, std::vector<int>& ids) const;
  std::shared_ptr<const State> state_;
};

// decode() one token at a time: the texts that push() and finish() return add up to decode() of all
// ids, each valid UTF-8; a character whose bytes are still incomplete is held back.
class StreamDecoder {
 public:
  explicit StreamDecoder(Tokenizer tokenizer, bool skip_special = false)
      : tokenizer_(std::move(tokenizer)), skip_special_(skip_special) {}
  std::string push(int id);
  // What was held back, as U+FFFD; the decoder is then as new.
  std::string finish();

 private:
  Tokenizer tokenizer_;
  bool skip_special_;
  std::string held_;  // the beginning of one character, at most 3 bytes
};

}  // namespace shenhong
