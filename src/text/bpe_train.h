// Learning a byte-level BPE vocabulary from documents.
#pragma once

#include <memory>
#include <string_view>

#include "text/tokenizer.h"

namespace shenhong {

// Counts the words of the documents it is given, then merges the most frequent pair of neighbours
// until the vocabulary is full; equal counts: the pair with the lower ids. The result depends on
// the documents and their order alone, not on the number of threads.
//
// Words are DeepSeek-V3's pre-tokens, for counting cut after 32 characters: a Chinese sentence is
// one pre-token, and no token that helps is longer. Memory is bounded: beyond 4 million distinct
// words the rarest are forgotten. 50 MB of text is plenty for 16k tokens; it takes 1 GB.
class BpeTrainer {
 public:
  BpeTrainer();
  ~BpeTrainer();
  void add(std::string_view document);

  // A tokenizer of at most `vocab_size` tokens: the special tokens of special_tokens.h, the 256
  // bytes, then merges; fewer when no pair is left that occurs twice.
  // `max_token_characters` > 0: no token holds more Chinese characters than that, and none holds a
  // part of one character beside something else. 0: no limit.
  // The trainer is then as new. Error(kUsage) when vocab_size leaves no room for bytes and special
  // tokens.
  Tokenizer train(int vocab_size, int max_token_characters = 0);

 private:
  struct Counts;
  std::unique_ptr<Counts> counts_;
};

}  // namespace shenhong
