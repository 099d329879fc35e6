#include "infer/generation.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace shenhong {

std::string_view finish_name(Finish finish) {
  switch (finish) {
    case Finish::kStop:
      return "stop";
    case Finish::kLength:
      return "length";
    case Finish::kCancelled:
      return "cancelled";
  }
  return "";
}

Generation::Generation(PagePool& pool, const AnswerRules& rules, const GenerateRequest& request,
                       const OnPiece& on_piece, std::stop_token stop)
    : Continuation(pool, request.prompt, request.drafts.value_or(rules.drafts)),
      rules_(rules),
      request_(request),
      on_piece_(on_piece),
      stop_(std::move(stop)),
      sampler_(request.sampling, request.prompt.size()),
      decoder_(rules.tokenizer, /*skip_special=*/true),
      stops_(request.stop) {
  SH_CHECK(request.max_tokens >= 0, kUsage,
           "max_tokens = {}: want at least 1, or 0 for all that fit the context",
           request.max_tokens);
  limit_ = size_t(rules.context_tokens) - request.prompt.size();
  if (request.max_tokens > 0) limit_ = std::min(limit_, size_t(request.max_tokens));
  result_.prompt_tokens = int(request.prompt.size());
  result_.finish = Finish::kCancelled;  // unless it ends otherwise
}

bool Generation::emit(const std::string& piece) {
  if (piece.empty()) return true;
  result_.text += piece;
  return !on_piece_ || on_piece_(piece);
}

bool Generation::show(std::string_view text) {
  shown_ += text.size();
  return emit(stops_.push(text));
}

void Generation::append(std::span<const int> tokens) {
  sequence.append(tokens);
  result_.tokens.insert(result_.tokens.end(), tokens.begin(), tokens.end());
}

bool Generation::end(Finish finish) {
  result_.finish = finish;
  // Bytes of a character that never became whole are dropped.
  if (finish != Finish::kCancelled) emit(stops_.finish());
  result_.decode_s = std::chrono::duration<double>(Clock::now() - start_).count();
  return false;
}

int Generation::draw(std::span<const float> logits, std::span<const int> context) {
  // A vocabulary padded beyond the tokenizer's has rows that mean nothing.
  return sampler_.sample(logits.first(size_t(rules_.tokenizer.vocab_size())), context,
                         request_.guide ? request_.guide->banned() : std::span(rules_.banned));
}

bool Generation::ends(int token) const {
  return std::ranges::find(rules_.end_tokens, token) != rules_.end_tokens.end();
}

// With the random number that will draw the token itself: where the laws of module and model agree,
// so do the draws.
std::optional<int> Generation::draft(std::span<const float> logits) {
  const int id = draw(logits, sequence.tokens_and_drafts());
  return ends(id) ? std::nullopt : std::optional(id);
}

bool Generation::go_on(std::span<const float> logits) {
  if (result_.tokens.empty()) {
    const Clock::time_point now = Clock::now();
    result_.prefill_s = std::chrono::duration<double>(now - start_).count();
    result_.cached_tokens = sequence.shared();
    start_ = now;
  }
  Guide* guide = request_.guide;
  for (;;) {
    bool wanted = true, ended = false, read = true;
    if (auto writing = guide ? guide->write(logits.first(size_t(rules_.tokenizer.vocab_size())),
                                            shown_, limit_ - result_.tokens.size())
                             : std::nullopt) {
      if (result_.tokens.size() + writing->tokens.size() > limit_) return end(Finish::kLength);
      append(writing->tokens);
      wanted = show(writing->shown);
      ended = writing->end;
      read = !writing->tokens.empty();
    } else {
      const int id = draw(logits, sequence.tokens());
      if (ends(id)) return end(Finish::kStop);
      append({&id, 1});
      if (guide) guide->drew(id);
      wanted = show(decoder_.push(id));
    }
    if (!wanted || stop_.stop_requested()) return end(Finish::kCancelled);
    if (ended || stops_.stopped()) return end(Finish::kStop);
    if (result_.tokens.size() == limit_) return end(Finish::kLength);
    if (read) return true;
  }
}

}  // namespace shenhong
