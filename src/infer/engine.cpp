#include "infer/engine.h"

#include <algorithm>
#include <utility>

#include "infer/model_text.h"
#include "model/gguf_model.h"
#include "text/special_tokens.h"

namespace shenhong {
namespace {

std::string name_of(const fs::path& model) {
  return (is_gguf(model) ? model.stem() : model.filename()).string();
}

}  // namespace

Engine::Engine(const fs::path& model, const EngineOptions& options)
    : name_(name_of(fs::weakly_canonical(model))),
      weights_(load_weights(model, options.drafts != 0)),
      tokenizer_(load_tokenizer(model)),
      chat_template_(load_chat_template(model)),
      generation_(read_generation_config(model, weights_->config())),
      pool_(weights_->config(), options.cache_bytes, weights_->mtp.has_value(), options.cache),
      rules_{tokenizer_, generation_.end_tokens, look_up_tokens_,
             int(std::min<int64_t>(config().max_position_embeddings, pool_.tokens())),
             options.drafts},
      decoder_(*weights_),
      steps_(decoder_) {
  SH_CHECK(tokenizer_.vocab_size() <= config().vocab_size, kBadInput,
           "{}: the tokenizer has {} tokens, but the model says vocab_size = {}", model.string(),
           tokenizer_.vocab_size(), config().vocab_size);
  SH_CHECK(options.drafts <= 0 || can_draft(), kUsage,
           "{}: has no prediction module (num_nextn_predict_layers and its tensors), so nothing "
           "drafts {} tokens ahead; leave --drafts at auto or off",
           model.string(), options.drafts);
  for (const std::string_view name : kLookUpTokens)
    if (const auto id = tokenizer_.token_id(name); id && tokenizer_.is_special(*id))
      look_up_tokens_.push_back(*id);
}

std::vector<int> Engine::chat_prompt(const std::vector<Message>& messages) const {
  return encode_chat(tokenizer_, chat_template_, messages, /*add_generation_prompt=*/true);
}

std::vector<int> Engine::text_prompt(std::string_view text) const {
  std::vector<int> ids = tokenizer_.encode(text);
  if (tokenizer_.adds_bos()) ids.insert(ids.begin(), tokenizer_.bos_id());
  return ids;
}

void Engine::check_prompt(const std::vector<int>& prompt) const {
  SH_CHECK(!prompt.empty(), kUsage, "the prompt is empty; give at least one token");
  SH_CHECK(int64_t(prompt.size()) < context_tokens(), kUsage,
           "the prompt has {} tokens, but the context of this model holds {} with the answer; "
           "shorten it or {}",
           prompt.size(), context_tokens(),
           cache_limits_context() ? "give the latent cache more memory (--cache-mib)"
                                  : "start a new conversation");
  for (const int id : prompt)
    SH_CHECK(id >= 0 && id < config().vocab_size, kUsage,
             "the prompt holds token {}: want ids from 0 to {}", id, config().vocab_size - 1);
}

GenerateResult Engine::generate(const GenerateRequest& request, const OnPiece& on_piece,
                                std::stop_token stop) {
  check_prompt(request.prompt);
  Generation generation(pool_, rules_, request, on_piece, std::move(stop));
  steps_.run(generation);
  return generation.take_result();
}

}  // namespace shenhong
