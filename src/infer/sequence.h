// A sequence of tokens and the pages that hold the rows of those that were read.
//
// Rows of the prompt are read in the expanded form of attention, those after it in the absorbed
// one (infer/absorbed_attention.h), whatever the step that reads them looks like. So a row depends
// on the tokens before it and on where the prompt ends, and on nothing else; a row of the prompt on
// the tokens before it alone, which is why full pages of prompts, and only they, are shared.
#pragma once

#include <span>
#include <vector>

#include "infer/page_pool.h"

namespace shenhong {

class Sequence {
 public:
  // `pool` must outlive it.
  Sequence(PagePool& pool, std::vector<int> prompt);
  ~Sequence() { release(); }
  Sequence(const Sequence&) = delete;

  const std::vector<int>& tokens() const { return tokens_; }
  int size() const { return int(tokens_.size()); }
  int prompt_tokens() const { return prompt_tokens_; }
  int read() const { return read_; }              // tokens whose rows the pages hold
  int pending() const { return size() - read_; }  // tokens still to be read
  int shared() const { return shared_; }          // of those, that others had read
  std::span<const int> pages() const { return pages_; }
  PagePool& pool() const { return pool_; }

  void append(std::span<const int> tokens) {
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  }

  // Takes over the published pages that begin with what is pending of the prompt, but for its last
  // token, whose logits somebody wants.
  void share();
  // Pages for the next `rows` pending tokens. False, and nothing is taken, when the pool has none.
  bool reserve(int rows);
  // The next `rows` pending tokens, for which there are pages, have been read. Publishes what
  // is full of prompt.
  void advance(int rows);
  // Forgets all tokens but the first `tokens`, not fewer than the prompt's.
  void truncate(int tokens);
  // Gives all pages back: everything is pending again.
  void release();

 private:
  std::span<const int> tokens_of_page(int page) const {
    return std::span(tokens_).subspan(size_t(page) * kPageTokens, kPageTokens);
  }
  std::optional<int> page_before(int page) const {
    return page == 0 ? std::nullopt : std::optional(pages_[size_t(page) - 1]);
  }

  PagePool& pool_;
  std::vector<int> tokens_, pages_;
  int prompt_tokens_, read_ = 0;
  int shared_ = 0;
  int published_ = 0;  // pages at the beginning that others may share
};

// The next tokens of one sequence in a step that reads tokens of many. There are pages for them.
struct Segment {
  Sequence* sequence;
  int count;
  int logits;  // of so many of its last tokens they are wanted
};

}  // namespace shenhong
