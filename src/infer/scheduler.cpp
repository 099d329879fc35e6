#include "infer/scheduler.h"

#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "core/parallel.h"

namespace shenhong {
namespace {

// Its prompt is read, and it waits for nothing but its next few tokens.
bool decodes(const Sequence& s) {
  return s.read() >= s.prompt_tokens() && s.pending() <= kMixedChunk;
}

// Pages that are missing for all its tokens, and so many more.
int pages_for_pending(const Sequence& s, int more = 0) {
  return (s.size() + more + kPageTokens - 1) / kPageTokens - int(s.pages().size());
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Runs run(i) for everyone's i, over all threads where there are several; what it throws is left in
// errors[i].
template <class Run>
std::vector<std::exception_ptr> for_each_one(size_t count, const Run& run) {
  std::vector<std::exception_ptr> errors(count);
  const auto guarded = [&](int64_t i) {
    try {
      run(size_t(i));
    } catch (...) {
      errors[size_t(i)] = std::current_exception();
    }
  };
  if (count == 1) {
    guarded(0);
  } else {
    parallel_for(int64_t(count), guarded);
  }
  return errors;
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
  readers_.clear();
  try {
    draft();
    plan();
    forward();
  } catch (...) {  // the step's own memory: whoever is in it ends, the others go on
    const std::vector<Continuation*> readers = readers_;
    for (Continuation* reader : readers) end(*reader, std::current_exception());
  }
  return ended_;
}

void Scheduler::forward() {
  if (segments_.empty()) return;
  int rows = 0;
  bool decodes_only = true;
  for (const Segment& s : segments_) {
    rows += s.count;
    decodes_only &= s.count == 1 + s.sequence->drafts() && s.logits == s.count;
  }
  const auto start = std::chrono::steady_clock::now();
  const auto logits = decoder_.forward(segments_);
  if (decodes_only) costs_.stepped(rows, seconds_since(start));
  draw(logits);
}

// Drafts take pages that nobody waits for.
std::vector<Scheduler::Drafting> Scheduler::who_drafts() {
  std::vector<Drafting> out;
  int decoding = 0, wanted = 0;
  for (const Continuation* c : running_) {
    decoding += decodes(c->sequence);
    wanted += std::max(0, pages_for_pending(c->sequence));
  }
  for (Continuation* c : running_) {
    Sequence& s = c->sequence;
    if (!s.pool().drafts() || !decodes(s) || s.pending() != 1) continue;
    const int depth = c->depth.choose(costs_, decoding, std::min(c->most_drafts(), kMostDrafts));
    if (depth <= 0) continue;
    const int own = std::max(0, pages_for_pending(s));
    const int extra = std::max(0, pages_for_pending(s, depth)) - own;
    if (wanted + extra > s.pool().available()) continue;
    const bool fits = s.reserve(1 + depth);
    SH_ASSERT(fits);
    wanted -= own;
    out.push_back({c, depth});
  }
  return out;
}

void Scheduler::draft() {
  std::vector<Drafting> left = who_drafts();
  const size_t V = size_t(decoder_.config().vocab_size);
  std::vector<Sequence*> sequences;
  for (int depth = 1; !left.empty(); ++depth) {
    sequences.clear();
    readers_.clear();
    for (const Drafting& d : left) {
      sequences.push_back(&d.who->sequence);
      readers_.push_back(d.who);
    }
    const auto start = std::chrono::steady_clock::now();
    const auto logits = decoder_.draft(sequences);
    std::vector<char> goes_on(left.size(), false);
    const auto errors = for_each_one(left.size(), [&](size_t i) {
      const auto token = left[i].who->draft(logits.subspan(i * V, V));
      if (!token) return;
      left[i].who->sequence.draft(*token);
      goes_on[i] = depth < left[i].depth;
    });
    costs_.drafted(int(left.size()), seconds_since(start));
    std::vector<Drafting> next;
    for (size_t i = 0; i < left.size(); ++i) {
      if (errors[i]) end(*left[i].who, errors[i]);
      if (goes_on[i]) next.push_back(left[i]);
    }
    left = std::move(next);
  }
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
  for (size_t i = 0; i < running_.size(); ++i)
    if (decodes(running_[i]->sequence)) read(*running_[i], running_[i]->sequence.unread());
  const auto most_at = segments_.empty() ? prompt_chunk : mixed_chunk;
  std::optional<int> budget;  // prompt tokens, by how far the oldest has read
  for (size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = running_[i]->sequence;
    if (decodes(sequence)) continue;
    sequence.share();  // what others have read in the meantime
    if (!budget) budget = most_at(sequence.read());
    const int count = chunk_of(sequence, *budget);
    read(*running_[i], count);
    if ((*budget -= count) <= 0) break;
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
  segments_.push_back({&sequence, count, count == sequence.unread() ? 1 + sequence.drafts() : 0});
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
    const float* logits;  // of its last token, then of its drafts
    bool goes_on = false;
  };
  const size_t V = size_t(decoder_.config().vocab_size);
  std::vector<Drawing> draws;
  for (size_t i = 0; i < segments_.size(); ++i) {
    if (segments_[i].logits == 0) continue;
    draws.push_back({readers_[i], logits.data()});
    logits = logits.subspan(size_t(segments_[i].logits) * V);
  }
  const auto errors = for_each_one(draws.size(), [&](size_t i) {
    Drawing& d = draws[i];
    Sequence& s = d.who->sequence;
    const int first = s.size(), drafted = s.drafts();
    do {
      d.goes_on = d.who->go_on({d.logits + size_t(s.size() - first) * V, V});
    } while (d.goes_on && s.pending() == 0);
    const int right = std::min(s.read(), s.size()) - first;
    d.who->drafts.add(drafted, right);
    d.who->depth.learn(drafted, right);
  });
  for (size_t i = 0; i < draws.size(); ++i) {
    draws[i].who->sequence.release_spare();
    if (!draws[i].goes_on || errors[i]) end(*draws[i].who, errors[i]);
  }
}

}  // namespace shenhong
