// Many sequences decoded together: each step reads the next tokens of all that are running in one
// forward pass, and asks those whose last token was read how they go on.
//
// Who decodes takes part in every step; what room a step has left goes to prompts, the oldest
// first, so that a long one holds nobody up for longer than a chunk of it takes. Admission is by
// arrival alone. When the pages run out the youngest gives its own back and waits; it is read again
// later. None of this shows in what comes out: a token's logits do not depend on the steps
// (infer/decoder.h).
//
// Before a step those whose next token is drawn may draft what follows it. The step reads drafts
// like tokens, and each of them is asked how it goes on for as long as it says what was drafted. So
// drafts do not show either: they only save steps.
#pragma once

#include <algorithm>
#include <deque>
#include <exception>
#include <optional>
#include <span>
#include <vector>

#include "infer/decoder.h"
#include "infer/draft_depth.h"

namespace shenhong {

// Prompt tokens of one step: enough rows for full-speed products, few enough that a request to stop
// is soon heard; and beside others that decode, few enough that their next tokens come soon. More
// after a long beginning, for each step makes keys and values of all that was read before.
constexpr int kPromptChunk = 256, kMixedChunk = 128;
constexpr int prompt_chunk(int read) { return std::clamp(read, kPromptChunk, 4 * kPromptChunk); }
constexpr int mixed_chunk(int read) { return std::clamp(read / 16, kMixedChunk, 4 * kMixedChunk); }

// A sequence and who says how it goes on.
class Continuation {
 public:
  // `wanted`: drafts, a number or kAutoDrafts.
  Continuation(PagePool& pool, std::vector<int> prompt, int wanted = 0)
      : sequence(pool, std::move(prompt)), depth(wanted) {}
  virtual ~Continuation() = default;

  // Appends to the sequence, given the logits [V] of its last token; false: it ends here. Called on
  // any thread, for different sequences at the same time.
  virtual bool go_on(std::span<const float> logits) = 0;
  // What go_on would likely append first after the sequence's tokens and drafts, given what the
  // prediction module makes of them, [V]; or nothing. Called like go_on.
  virtual std::optional<int> draft(std::span<const float>) { return {}; }
  // More drafts than this are of no use now.
  virtual int most_drafts() const { return 0; }
  // Asked before every step, waiting or running.
  virtual bool cancelled() const { return false; }

  Sequence sequence;
  DraftDepth depth;
  DraftCounts drafts;
  std::exception_ptr error;  // why it ended, if something failed
};

class Scheduler {
 public:
  explicit Scheduler(Decoder& decoder) : decoder_(decoder) {}

  // It must outlive its presence here, and have a prompt.
  void add(Continuation& continuation) { waiting_.push_back(&continuation); }

  // Returns those that ended: by themselves, cancelled or with an error. Their pages are given
  // back.
  std::span<Continuation* const> step();

  bool idle() const { return running_.empty() && waiting_.empty(); }
  size_t running() const { return running_.size(); }
  size_t waiting() const { return waiting_.size(); }

 private:
  void drop_cancelled();
  void admit();
  void draft();
  void plan();
  // Puts the next `count` tokens into the step; whoever is younger makes room.
  void read(Continuation& continuation, int count);
  void pause_youngest();
  void forward();
  void draw(std::span<const float> logits);
  void end(Continuation& continuation, std::exception_ptr error);

  // Who drafts, and how many tokens.
  struct Drafting {
    Continuation* who;
    int depth;
  };
  std::vector<Drafting> who_drafts();

  Decoder& decoder_;
  StepCosts costs_;
  std::deque<Continuation*> waiting_;
  std::vector<Continuation*> running_;  // in the order of their arrival
  // The step's: what is read, and whose it is.
  std::vector<Segment> segments_;
  std::vector<Continuation*> readers_;
  std::vector<Continuation*> ended_;
};

}  // namespace shenhong
