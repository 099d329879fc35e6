#include "infer/scheduler.h"

#include <algorithm>

#include "core/error.h"
#include "core/parallel.h"

namespace shenhong {
namespace {

// Its prompt is read, and it waits for nothing but its next few tokens.
bool decodes(const Sequence& s) {
  return s.read() >= s.prompt_tokens() && s.pending() <= kMixedChunk;
}

int pages_for_pending(const Sequence& s) {
  return (s.size() + kPageTokens - 1) / kPageTokens - int(s.pages().size());
}

// A chunk that leaves a prompt unfinished ends with a page, which others can then share.
int chunk_of(const Sequence& s, int most) {
  if (s.pending() <= most) return s.pending();
  const int whole = (s.read() + most) / kPageTokens * kPageTokens - s.read();
  return whole > 0 ? whole : most;
}

std::exception_ptr never_fits(const Sequence& s) {
  return std::make_exception_ptr(
      Error(Exit::kUsage, fmt::format("a sequence of {} tokens: the latent cache holds {}; shorten "
                                      "it or give the cache more memory (--cache-mib)",
                                      s.size(), s.pool().tokens())));
}

}  // namespace

std::span<Continuation* const> Scheduler::step() {
  ended_.clear();
  drop_cancelled();
  admit();
  plan();
  if (segments_.empty()) return ended_;
  try {
    draw(decoder_.forward(segments_));
  } catch (...) {  // the step's own memory: whoever is in it ends, the others go on
    const std::vector<Continuation*> readers = readers_;
    for (Continuation* reader : readers) end(*reader, std::current_exception());
  }
  return ended_;
}

void Scheduler::end(Continuation& continuation, std::exception_ptr error) {
  if (error) continuation.error = std::move(error);
  continuation.sequence.release();
  std::erase(running_, &continuation);
  std::erase(waiting_, &continuation);
  ended_.push_back(&continuation);
}

void Scheduler::drop_cancelled() {
  for (size_t i = running_.size(); i-- > 0;)
    if (running_[i]->cancelled()) end(*running_[i], nullptr);
  for (size_t i = waiting_.size(); i-- > 0;)
    if (waiting_[i]->cancelled()) end(*waiting_[i], nullptr);
}

void Scheduler::admit() {
  while (!waiting_.empty()) {
    Continuation& next = *waiting_.front();
    Sequence& sequence = next.sequence;
    sequence.share();
    // Everybody who is there will want what they have not read yet, and soon another page.
    int wanted = pages_for_pending(sequence);
    for (const Continuation* other : running_) wanted += pages_for_pending(other->sequence) + 1;
    if (wanted > sequence.pool().available()) {
      sequence.release();
      if (!running_.empty()) return;
      end(next, never_fits(sequence));
      continue;
    }
    waiting_.pop_front();
    running_.push_back(&next);
  }
}

void Scheduler::plan() {
  segments_.clear();
  readers_.clear();
  int budget = kPromptChunk;
  for (size_t i = 0; i < running_.size(); ++i) {
    if (!decodes(running_[i]->sequence)) continue;
    budget = kMixedChunk;
    read(*running_[i], running_[i]->sequence.pending());
  }
  for (size_t i = 0; i < running_.size() && budget > 0; ++i) {
    Sequence& sequence = running_[i]->sequence;
    if (decodes(sequence)) continue;
    sequence.share();  // what others have read in the meantime
    const int count = chunk_of(sequence, budget);
    budget -= count;
    read(*running_[i], count);
  }
}

void Scheduler::read(Continuation& continuation, int count) {
  Sequence& sequence = continuation.sequence;
  while (!sequence.reserve(count)) {
    if (running_.size() == 1) return end(continuation, never_fits(sequence));
    const bool itself = running_.back() == &continuation;
    pause_youngest();
    if (itself) return;
  }
  segments_.push_back({&sequence, count, count == sequence.pending() ? 1 : 0});
  readers_.push_back(&continuation);
}

void Scheduler::pause_youngest() {
  Continuation* youngest = running_.back();
  running_.pop_back();
  waiting_.push_front(youngest);
  youngest->sequence.release();
  std::erase_if(segments_, [&](const Segment& s) { return s.sequence == &youngest->sequence; });
  std::erase(readers_, youngest);
}

void Scheduler::draw(std::span<const float> logits) {
  struct Drawing {
    Continuation* who;
    const float* logits;
    bool goes_on;
    std::exception_ptr error;
  };
  const size_t V = size_t(decoder_.config().vocab_size);
  std::vector<Drawing> draws;
  for (size_t i = 0; i < segments_.size(); ++i)
    if (segments_[i].logits > 0)
      draws.push_back({readers_[i], logits.data() + draws.size() * V, false, nullptr});
  const auto run = [&](int64_t i) {
    Drawing& d = draws[size_t(i)];
    try {
      d.goes_on = d.who->go_on({d.logits, V});
    } catch (...) {
      d.error = std::current_exception();
    }
  };
  if (draws.size() == 1) {
    run(0);
  } else {
    parallel_for(int64_t(draws.size()), run);
  }
  for (Drawing& d : draws)
    if (!d.goes_on) end(*d.who, std::move(d.error));
}

}  // namespace shenhong
