#include "infer/engine.h"

#include <algorithm>
#include <chrono>

#include "infer/model_text.h"
#include "infer/stop_strings.h"
#include "model/gguf_model.h"
#include "text/special_tokens.h"

namespace shenhong {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string name_of(const fs::path& model) {
  return (is_gguf(model) ? model.stem() : model.filename()).string();
}

// From drawn ids to the text that the caller sees: whole characters, no control tokens, nothing of
// a stop string.
class Answer {
 public:
  Answer(const Tokenizer& tokenizer, const std::vector<std::string>& stop,
         const Engine::OnPiece& on_piece, std::string& text)
      : decoder_(tokenizer, /*skip_special=*/true),
        stops_(stop),
        on_piece_(on_piece),
        text_(text) {}

  // False when the caller cancels.
  bool push(int id) { return push(decoder_.push(id)); }
  bool push(std::string_view text) {
    pushed_ += text.size();
    return show(stops_.push(text));
  }
  size_t pushed() const { return pushed_; }  // bytes, those that a stop string holds back included
  // Bytes of a character that never became whole are dropped.
  bool finish() { return show(stops_.finish()); }
  bool stopped() const { return stops_.stopped(); }

 private:
  bool show(const std::string& piece) {
    if (piece.empty()) return true;
    text_ += piece;
    return !on_piece_ || on_piece_(piece);
  }

  StreamDecoder decoder_;
  size_t pushed_ = 0;
  StopStrings stops_;
  const Engine::OnPiece& on_piece_;
  std::string& text_;
};

}  // namespace

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

Engine::Engine(const fs::path& model)
    : name_(name_of(fs::weakly_canonical(model))),
      weights_(load_weights(model)),
      tokenizer_(load_tokenizer(model)),
      chat_template_(load_chat_template(model)),
      generation_(read_generation_config(model, weights_->config())),
      decoder_(*weights_),
      cache_(weights_->config()) {
  SH_CHECK(tokenizer_.vocab_size() <= config().vocab_size, kBadInput,
           "{}: the tokenizer has {} tokens, but the model says vocab_size = {}", model.string(),
           tokenizer_.vocab_size(), config().vocab_size);
  for (const std::string_view name : kLookUpTokens)
    if (const auto id = tokenizer_.token_id(name); id && tokenizer_.is_special(*id))
      look_up_tokens_.push_back(*id);
}

std::vector<int> Engine::chat_prompt(const std::vector<Message>& messages) const {
  return encode_chat(tokenizer_, chat_template_, messages, /*add_generation_prompt=*/true);
}

std::vector<int> Engine::text_prompt(std::string_view text) const {
  std::vector<int> ids = tokenizer_.encode(text);
  ids.insert(ids.begin(), tokenizer_.bos_id());
  return ids;
}

void Engine::check_prompt(const std::vector<int>& prompt) const {
  SH_CHECK(!prompt.empty(), kUsage, "the prompt is empty; give at least one token");
  SH_CHECK(int64_t(prompt.size()) < context_tokens(), kUsage,
           "the prompt has {} tokens, but the context of this model holds {} with the answer; "
           "shorten it or start a new conversation",
           prompt.size(), context_tokens());
  for (const int id : prompt)
    SH_CHECK(id >= 0 && id < config().vocab_size, kUsage,
             "the prompt holds token {}: want ids from 0 to {}", id, config().vocab_size - 1);
}

std::span<const float> Engine::read(std::span<const int> tokens) {
  const auto logits = decoder_.forward(tokens, cache_, Decoder::Logits::kLast);
  cached_.insert(cached_.end(), tokens.begin(), tokens.end());
  // A vocabulary padded beyond the tokenizer's has rows that mean nothing.
  return logits.first(size_t(tokenizer_.vocab_size()));
}

std::span<const float> Engine::prefill(const std::vector<int>& prompt, const std::stop_token& stop,
                                       GenerateResult& result) {
  const auto differs =
      std::mismatch(prompt.begin(), prompt.end(), cached_.begin(), cached_.end()).first;
  // The last token is read in any case: its logits are wanted.
  size_t done = std::min(size_t(differs - prompt.begin()), prompt.size() - 1);
  cache_.truncate(int(done));
  cached_.resize(done);
  result.cached_tokens = int(done);
  std::span<const float> logits;
  while (done < prompt.size()) {
    if (stop.stop_requested()) return {};
    const size_t count = std::min(prompt.size() - done, size_t(kPromptChunk));
    logits = read(std::span(prompt).subspan(done, count));
    done += count;
  }
  return logits;
}

GenerateResult Engine::generate(const GenerateRequest& request, const OnPiece& on_piece,
                                std::stop_token stop) {
  check_prompt(request.prompt);
  SH_CHECK(request.max_tokens >= 0, kUsage,
           "max_tokens = {}: want at least 1, or 0 for all that fit the context",
           request.max_tokens);
  GenerateResult result;
  Sampler sampler(request.sampling, request.prompt.size());
  Answer answer(tokenizer_, request.stop, on_piece, result.text);
  result.prompt_tokens = int(request.prompt.size());
  const size_t room = size_t(context_tokens()) - request.prompt.size();
  const size_t limit = request.max_tokens == 0 ? room : std::min(room, size_t(request.max_tokens));

  Clock::time_point start = Clock::now();
  std::span<const float> logits = prefill(request.prompt, stop, result);
  result.prefill_s = seconds_since(start);
  if (logits.empty()) {
    result.finish = Finish::kCancelled;
    return result;
  }

  start = Clock::now();
  std::vector<int> context = request.prompt;
  const auto is_end = [&](int id) {
    return std::ranges::find(generation_.end_tokens, id) != generation_.end_tokens.end();
  };
  const std::span<const int> banned = request.guide ? request.guide->banned() : look_up_tokens_;
  const auto append = [&](int id) {
    result.tokens.push_back(id);
    context.push_back(id);
  };
  for (;;) {
    bool go_on = true, ended = false;
    std::vector<int> written;
    if (auto writing = request.guide ? request.guide->write(logits, answer.pushed(),
                                                            limit - result.tokens.size())
                                     : std::nullopt) {
      if (result.tokens.size() + writing->tokens.size() > limit) {
        result.finish = Finish::kLength;
        break;
      }
      written = std::move(writing->tokens);
      std::ranges::for_each(written, append);
      go_on = answer.push(writing->shown);
      ended = writing->end;
    } else {
      const int id = sampler.sample(logits, context, banned);
      if (is_end(id)) break;
      written = {id};
      append(id);
      if (request.guide) request.guide->drew(id);
      go_on = answer.push(id);
    }
    if (!go_on || stop.stop_requested())
      result.finish = Finish::kCancelled;
    else if (!ended && !answer.stopped() && result.tokens.size() == limit)
      result.finish = Finish::kLength;
    if (result.finish != Finish::kStop || ended || answer.stopped()) break;
    if (!written.empty()) logits = read(written);
  }
  if (result.finish != Finish::kCancelled) answer.finish();
  result.decode_s = seconds_since(start);
  return result;
}

}  // namespace shenhong
