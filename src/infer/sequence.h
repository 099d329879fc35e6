// A sequence of tokens and the pages that hold the rows of those that were read.
//
// Rows of the prompt are read in the expanded form of attention, those after it in the absorbed
// one (infer/latent_attention.h), whatever the step that reads them looks like. So a row depends
// on the tokens before it and on where the prompt ends, and on nothing else; a row of the prompt on
// the tokens before it alone, which is why full pages of prompts, and only they, are shared.
//
// Behind its tokens a sequence may carry drafts, which are read like tokens and are none until
// append() says the same.
#pragma once

#include <algorithm>
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

  std::span<const int> tokens() const { return std::span(tokens_).first(size_t(size())); }
  std::span<const int> tokens_and_drafts() const { return tokens_; }
  int size() const { return int(tokens_.size()) - drafts_; }
  int drafts() const { return drafts_; }
  int prompt_tokens() const { return prompt_tokens_; }
  int read() const { return read_; }  // tokens and drafts whose rows the pages hold
  int pending() const { return std::max(0, size() - read_); }  // tokens still to be read
  int unread() const { return int(tokens_.size()) - read_; }   // tokens and drafts
  int shared() const { return shared_; }                       // of the tokens, read by others
  // Tokens, the first one aside, whose rows of the prediction module the pages hold.
  int module_read() const { return module_read_; }
  std::span<const int> pages() const { return pages_; }
  PagePool& pool() const { return pool_; }
  // [D] of a token or draft that has a page; only with drafts (PagePool::stream).
  float* stream(int token) const {
    return pool_.stream(pages_[size_t(token / kPageTokens)], token % kPageTokens);
  }

  // The first draft, if it says the same, becomes a token; if not, all are taken back. The pool is
  // left alone, so that different sequences may append at the same time.
  void append(std::span<const int> tokens);
  void draft(int token) {
    tokens_.push_back(token);
    ++drafts_;
  }

  // Takes over the published pages that begin with what is pending of the prompt, but for its last
  // token, whose logits somebody wants.
  void share();
  // Pages for the next `rows` tokens and drafts, which need not be known yet. False, and nothing is
  // taken, when the pool has none.
  bool reserve(int rows);
  // The next `rows` tokens and drafts, for which there are pages, have been read; those of the
  // prompt by the prediction module, too. Publishes what is full of prompt.
  void advance(int rows);
  // The prediction module has read all tokens.
  void advance_module() { module_read_ = size(); }
  // Forgets all but the first `tokens`, not fewer than the prompt's, and all drafts.
  void truncate(int tokens);
  // Gives back the pages that hold nothing that was read.
  void release_spare();
  // Gives all pages back: everything is pending again. There are no drafts any more.
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
  int prompt_tokens_, drafts_ = 0;
  int read_ = 0, module_read_ = 0;
  int shared_ = 0;
  int published_ = 0;  // pages at the beginning that others may share
};

// The next tokens and drafts of one sequence in a step that reads those of many. There are pages
// for them.
struct Segment {
  Sequence* sequence;
  int count;
  int logits;  // of so many of its last tokens they are wanted
};

}  // namespace shenhong
