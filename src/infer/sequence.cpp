#include "infer/sequence.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace shenhong {

Sequence::Sequence(PagePool& pool, std::vector<int> prompt)
    : pool_(pool), tokens_(std::move(prompt)), prompt_tokens_(int(tokens_.size())) {}

void Sequence::append(std::span<const int> tokens) {
  for (const int token : tokens) {
    if (drafts_ > 0 && tokens_[size_t(size())] == token) {
      --drafts_;
      continue;
    }
    if (drafts_ > 0) truncate(size());
    tokens_.push_back(token);
  }
}

void Sequence::share() {
  while (read_ == int(pages_.size()) * kPageTokens && published_ == int(pages_.size()) &&
         read_ + kPageTokens < prompt_tokens_) {
    const auto page = pool_.find(page_before(published_), tokens_of_page(published_));
    if (!page) break;
    pages_.push_back(*page);
    ++published_;
    read_ += kPageTokens;
    module_read_ = read_;
    shared_ += kPageTokens;
  }
}

bool Sequence::reserve(int rows) {
  SH_ASSERT(rows >= 0);
  const int wanted = (read_ + rows + kPageTokens - 1) / kPageTokens - int(pages_.size());
  if (wanted > pool_.available()) return false;
  for (int i = 0; i < wanted; ++i) pages_.push_back(*pool_.take());
  return true;
}

void Sequence::advance(int rows) {
  SH_ASSERT(rows >= 0 && rows <= unread() && read_ + rows <= int(pages_.size()) * kPageTokens);
  read_ += rows;
  module_read_ = std::max(module_read_, std::min(read_, prompt_tokens_));
  for (; (published_ + 1) * kPageTokens <= std::min(read_, prompt_tokens_); ++published_) {
    int& page = pages_[size_t(published_)];
    page = pool_.publish(page, page_before(published_), tokens_of_page(published_));
  }
}

void Sequence::truncate(int tokens) {
  SH_ASSERT(tokens >= prompt_tokens_ && tokens <= size());
  tokens_.resize(size_t(tokens));
  drafts_ = 0;
  read_ = std::min(read_, tokens);
  module_read_ = std::min(module_read_, tokens);
}

void Sequence::release_spare() {
  const int kept = (read_ + kPageTokens - 1) / kPageTokens;
  for (; int(pages_.size()) > kept; pages_.pop_back()) pool_.release(pages_.back());
}

void Sequence::release() {
  // The last first: of a prompt that nobody uses the beginning, which is of use to more, stays
  // longest.
  for (; !pages_.empty(); pages_.pop_back()) pool_.release(pages_.back());
  tokens_.resize(size_t(size()));
  drafts_ = 0;
  read_ = module_read_ = shared_ = published_ = 0;
}

}  // namespace shenhong
