// One answer while it is made: tokens are drawn or written by a guide, text is shown piece by
// piece, and it ends where the request says.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "infer/guide.h"
#include "infer/sampler.h"
#include "infer/scheduler.h"
#include "infer/stop_strings.h"
#include "text/tokenizer.h"

namespace shenhong {

struct GenerateRequest {
  std::vector<int> prompt;  // ids, BOS included
  int max_tokens = 0;       // of the answer; 0: until the context is full
  SamplingConfig sampling;
  std::vector<std::string> stop;  // the answer ends before the first of these
  Guide* guide = nullptr;         // writes along; null: nobody does, and nothing is looked up
  // Tokens drafted ahead (infer/draft_depth.h), if the engine drafts; absent: as the engine does.
  std::optional<int> drafts = {};
};

enum class Finish { kStop, kLength, kCancelled };
// "stop", "length", "cancelled"
std::string_view finish_name(Finish finish);

struct GenerateResult {
  std::string text;         // valid UTF-8; stop strings and control tokens are not part of it
  std::vector<int> tokens;  // what was drawn or written by the guide, without the end token
  Finish finish = Finish::kStop;
  int prompt_tokens = 0;
  int cached_tokens = 0;  // of the prompt, that the cache held from others
  DraftCounts drafts;
  double prefill_s = 0, decode_s = 0;

  double tokens_per_s() const { return decode_s > 0 ? double(tokens.size()) / decode_s : 0; }
};

// Called with pieces that add up to the result's text, each whole UTF-8 characters and never empty.
// Returning false cancels.
using OnPiece = std::function<bool(std::string_view piece)>;

// What all answers of a model have in common.
struct AnswerRules {
  const Tokenizer& tokenizer;
  const std::vector<int>& end_tokens;
  const std::vector<int>& banned;  // where no guide says otherwise
  int context_tokens;
  int drafts;  // where the request does not say
};

class Generation : public Continuation {
 public:
  // Everything must outlive it. Error(kUsage): a bad number, sampling value or stop string.
  Generation(PagePool& pool, const AnswerRules& rules, const GenerateRequest& request,
             const OnPiece& on_piece, std::stop_token stop);

  bool go_on(std::span<const float> logits) override;
  std::optional<int> draft(std::span<const float> logits) override;
  int most_drafts() const override { return int(limit_ - result_.tokens.size()) - 1; }
  bool cancelled() const override { return stop_.stop_requested(); }

  // Once it has ended.
  GenerateResult take_result() {
    result_.drafts = drafts;
    return std::move(result_);
  }

 private:
  using Clock = std::chrono::steady_clock;

  // What the reader sees of it; false when they want no more.
  bool show(std::string_view text);
  bool emit(const std::string& piece);
  int draw(std::span<const float> logits, std::span<const int> context);
  bool ends(int token) const;
  void append(std::span<const int> tokens);
  bool end(Finish finish);

  const AnswerRules& rules_;
  const GenerateRequest& request_;
  const OnPiece& on_piece_;
  const std::stop_token stop_;
  size_t limit_;  // tokens of the answer
  Sampler sampler_;
  StreamDecoder decoder_;
  StopStrings stops_;
  size_t shown_ = 0;  // bytes, those that a stop string holds back included
  Clock::time_point start_ = Clock::now();
  GenerateResult result_;
};

}  // namespace shenhong
