// Token shards: the tokens of one source and split, as files DIR/SPLIT-NNNNN.tok that training maps
// into memory. The layout, byte by byte, is in docs/formats.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/file.h"

namespace shenhong {

// What a shard says about the tokenizer its tokens came from. All shards of a run agree on it.
struct Vocabulary {
  int size = 0;       // every token id is below
  uint64_t hash = 0;  // of the tokenizer's file, see vocabulary_hash
  int bos = 0, eos = 0;
  bool operator==(const Vocabulary&) const = default;
};

// The hash by which shards name their tokenizer: XXH3 of tokenizer.json's bytes.
uint64_t vocabulary_hash(const fs::path& tokenizer_json);

// Writes shards of about `shard_tokens` tokens, whole documents each. Shards of the same split that
// an earlier run left in the directory are removed first. Nothing is readable before it is
// complete.
class ShardWriter {
 public:
  // `with_mask`: documents carry a mask of the tokens to be learned (chat data).
  ShardWriter(fs::path directory, std::string split, Vocabulary vocabulary, bool with_mask = false,
              int64_t shard_tokens = int64_t{16} << 20);

  // One document as it stands: BOS text EOS. `text_bytes` is the length of its text in UTF-8, the
  // base of bits per byte. `learn` holds one byte per token, or is empty without a mask.
  void add(std::span<const int> tokens, int64_t text_bytes, std::span<const uint8_t> learn = {});

  // Writes the last shard (an empty split still makes one, of no documents).
  void finish();

  int64_t tokens() const { return total_tokens_; }
  int64_t documents() const { return total_documents_; }

 private:
  void flush();

  fs::path directory_;
  std::string split_;
  Vocabulary vocabulary_;
  bool with_mask_;
  int64_t shard_tokens_;
  int shards_ = 0;
  int64_t total_tokens_ = 0, total_documents_ = 0;
  int64_t text_bytes_ = 0;
  std::vector<uint32_t> tokens_;
  std::vector<uint64_t> starts_;
  std::vector<uint8_t> learn_;
};

// One shard, mapped. The constructor checks every size, the checksum and that no token lies outside
// the vocabulary: Error(kBadInput) names the file, what was wanted and what was found.
class Shard {
 public:
  explicit Shard(const fs::path& path);

  const Vocabulary& vocabulary() const { return vocabulary_; }
  bool has_mask() const { return learn_ != nullptr; }
  int64_t tokens() const { return tokens_; }
  int64_t documents() const { return documents_; }
  int64_t text_bytes() const { return text_bytes_; }

  int token(int64_t i) const;
  // Is token i a target of training? By the mask; without one, every token but BOS, which no model
  // ever has to predict.
  bool learn(int64_t i) const;
  // The index of document d's first token; documents() gives tokens().
  int64_t document_start(int64_t d) const;

 private:
  MappedFile file_;
  Vocabulary vocabulary_;
  int width_ = 0;
  int64_t tokens_ = 0, documents_ = 0, text_bytes_ = 0;
  const uint8_t* token_bytes_ = nullptr;
  const uint8_t* starts_ = nullptr;
  const uint8_t* learn_ = nullptr;  // one bit per token, or null
};

}  // namespace shenhong
