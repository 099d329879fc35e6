// A model that answers, from a model directory or a GGUF file: prompt ids in, text out piece by
// piece.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "infer/decoder.h"
#include "infer/generation_config.h"
#include "infer/guide.h"
#include "infer/kv_cache.h"
#include "infer/sampler.h"
#include "infer/weights.h"
#include "text/chat_template.h"
#include "text/special_tokens.h"
#include "text/tokenizer.h"

namespace shenhong {

// Prompt tokens that are read in one step: enough rows for full-speed products, few enough that a
// request to stop is soon heard.
constexpr int kPromptChunk = 256;

struct GenerateRequest {
  std::vector<int> prompt;  // ids, BOS included
  int max_tokens = 0;       // of the answer; 0: until the context is full
  SamplingConfig sampling;
  std::vector<std::string> stop;  // the answer ends before the first of these
  Guide* guide = nullptr;         // writes along; null: nobody does, and nothing is looked up
};

enum class Finish { kStop, kLength, kCancelled };
// "stop", "length", "cancelled"
std::string_view finish_name(Finish finish);

struct GenerateResult {
  std::string text;         // valid UTF-8; stop strings and control tokens are not part of it
  std::vector<int> tokens;  // what was drawn or written by the guide, without the end token
  Finish finish = Finish::kStop;
  int prompt_tokens = 0;
  int cached_tokens = 0;  // of the prompt, that the cache held from the call before
  double prefill_s = 0, decode_s = 0;

  double tokens_per_s() const { return decode_s > 0 ? double(tokens.size()) / decode_s : 0; }
};

class Engine {
 public:
  // Config, weights, tokenizer, chat template, generation_config.json (may be absent; a GGUF has
  // none). Error(kBadInput) names the file that is missing, broken or contradicts another.
  explicit Engine(const fs::path& model);

  // Called on the calling thread with pieces that add up to the result's text, each whole UTF-8
  // characters and never empty. Returning false cancels.
  using OnPiece = std::function<bool(std::string_view piece)>;

  // One call at a time: the engine keeps the cache, and the next prompt reads only what differs
  // from the last sequence (the next turn of a chat). Rows that were decoded and rows that were
  // read as a prompt differ in the last bits of their floats, so a request gives exactly the same
  // logits again only after the same calls. `stop` is looked at between chunks of the prompt and
  // between tokens. Error(kUsage): an empty prompt, a prompt that fills the context, an unknown id,
  // a bad sampling value or stop string. The engine remains usable after any error.
  GenerateResult generate(const GenerateRequest& request, const OnPiece& on_piece = {},
                          std::stop_token stop = {});

  // Immutable and safe to use from any thread, also during generate().
  const ModelConfig& config() const { return weights_->config(); }
  const Weights& weights() const { return *weights_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }
  const ChatTemplate& chat_template() const { return chat_template_; }
  // Whether the vocabulary has all tokens of a look-up.
  bool can_look_up() const { return look_up_tokens_.size() == kLookUpTokens.size(); }
  const std::vector<int>& look_up_tokens() const { return look_up_tokens_; }
  const std::vector<int>& end_tokens() const { return generation_.end_tokens; }
  const SamplingConfig& default_sampling() const { return generation_.sampling; }
  const std::string& name() const { return name_; }  // the directory's or the file's
  int context_tokens() const { return config().max_position_embeddings; }

  // The ids of a conversation that asks for the assistant's next turn.
  std::vector<int> chat_prompt(const std::vector<Message>& messages) const;
  // The ids of a plain text to go on with: BOS, then the text.
  std::vector<int> text_prompt(std::string_view text) const;
  // Error(kUsage) with both numbers when the prompt leaves no room for an answer.
  void check_prompt(const std::vector<int>& prompt) const;

 private:
  // Brings the cache to hold all of `prompt`. Returns the logits of its last token; nothing when
  // cancelled on the way.
  std::span<const float> prefill(const std::vector<int>& prompt, const std::stop_token& stop,
                                 GenerateResult& result);
  std::span<const float> read(std::span<const int> tokens);

  std::string name_;
  std::unique_ptr<Weights> weights_;
  Tokenizer tokenizer_;
  ChatTemplate chat_template_;
  GenerationConfig generation_;
  Decoder decoder_;
  KvCache cache_;
  std::vector<int> look_up_tokens_;  // those of special_tokens.h that the vocabulary has
  std::vector<int> cached_;          // the tokens whose rows the cache holds
};

}  // namespace shenhong
