// A model that answers, from a model directory or a GGUF file: prompt ids in, text out piece by
// piece, as many at a time as there are callers.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "infer/decoder.h"
#include "infer/generation.h"
#include "infer/generation_config.h"
#include "infer/page_pool.h"
#include "infer/step_thread.h"
#include "infer/weights.h"
#include "text/chat_template.h"
#include "text/special_tokens.h"
#include "text/tokenizer.h"

namespace shenhong {

struct EngineOptions {
  int64_t cache_bytes = int64_t(1) << 30;  // of the latent caches of all answers together
  CacheFormat cache = CacheFormat::kF32;
  // Tokens drafted ahead: a number, or kAutoDrafts, with which a model without a prediction module
  // drafts none.
  int drafts = 0;
};

class Engine {
 public:
  // Config, weights, tokenizer, chat template, settings of sampling (which may be absent).
  // Error(kBadInput) names the file that is missing, broken or contradicts another; others as
  // PagePool; Error(kUsage) when so many drafts are wanted and the model has no module for them.
  explicit Engine(const fs::path& model, const EngineOptions& options = {});

  // From any thread. Calls that are made at the same time are decoded together, and none can tell:
  // an answer depends on its request alone, to the bit. What prompts have in common is read once
  // (infer/page_pool.h). `on_piece` and the guide are called on the engine's threads, one call of a
  // request at a time; whoever is slow there holds all others up. `stop` is looked at before every
  // step. Error(kUsage): an empty prompt, a prompt that fills the context, an unknown id, a bad
  // sampling value or stop string. The engine remains usable after any error.
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
  bool can_draft() const { return pool_.drafts(); }
  const std::vector<int>& end_tokens() const { return generation_.end_tokens; }
  const SamplingConfig& default_sampling() const { return generation_.sampling; }
  const std::string& name() const { return name_; }  // the directory's or the file's
  // Of a prompt and its answer: the model's context, or what the cache holds if that is less.
  int context_tokens() const { return rules_.context_tokens; }
  bool cache_limits_context() const { return context_tokens() < config().max_position_embeddings; }
  int64_t cache_tokens() const { return pool_.tokens(); }  // of all answers together
  CacheFormat cache_format() const { return pool_.row().format; }

  // The ids of a conversation that asks for the assistant's next turn.
  std::vector<int> chat_prompt(const std::vector<Message>& messages) const;
  // The ids of a plain text to go on with: BOS, if the model expects it, then the text.
  std::vector<int> text_prompt(std::string_view text) const;
  // Error(kUsage) with both numbers when the prompt leaves no room for an answer.
  void check_prompt(const std::vector<int>& prompt) const;

 private:
  std::string name_;
  std::unique_ptr<Weights> weights_;
  Tokenizer tokenizer_;
  ChatTemplate chat_template_;
  GenerationConfig generation_;
  std::vector<int> look_up_tokens_;  // those of special_tokens.h that the vocabulary has
  PagePool pool_;
  AnswerRules rules_;
  Decoder decoder_;
  StepThread steps_;  // the last member: its thread uses all others
};

}  // namespace shenhong
