// From a conversation to the tokens that a chat model reads. The template is the Jinja text of the
// model directory (chat_template.jinja), rendered by our own interpreter (jinja.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/file.h"
#include "text/tokenizer.h"

namespace shenhong {

namespace jinja {
struct Template;
}

struct Message {
  std::string role;  // "system", "user" or "assistant"
  std::string content;
  // Bytes [first, second) of the content that we wrote ourselves as control tokens, such as <kg_e>,
  // in order. Everything else stays text, whatever it looks like.
  std::vector<std::pair<size_t, size_t>> markup = {};
  bool learn = true;  // of the assistant's messages in training: whether to learn to say this
};

// Immutable, cheap to copy, safe to share between threads.
class ChatTemplate {
 public:
  // Error(kBadInput) names the source and the line of anything outside the Jinja subset.
  // `names` are the template's bos_token and eos_token.
  static ChatTemplate parse(std::string jinja, const std::string& source, ControlNames names = {});
  // chat_template.jinja of a model directory, else "chat_template" of its tokenizer_config.json,
  // else absent().
  static ChatTemplate load(const fs::path& model_directory);
  // Of a model that only continues texts: its own text is empty, and render() says so.
  static ChatTemplate absent();
  // DeepSeek-V3's form, without tools: BOS, all system texts, then for each turn
  // <｜User｜>… or <｜Assistant｜>…<｜end▁of▁sentence｜>. Other roles are refused.
  static ChatTemplate deepseek();

  const std::string& text() const;  // "" where the model has none

  // A run of the rendered prompt. `from_message`: these bytes were written by someone outside and
  // must never be read as markup.
  struct Piece {
    std::string text;
    bool from_message = false;
  };
  // Error(kUsage) when the template calls raise_exception, Error(kBadInput) when it fails or
  // exceeds its limits of steps and size.
  std::vector<Piece> render(const std::vector<Message>& messages, bool add_generation_prompt) const;

 private:
  ChatTemplate(std::shared_ptr<const jinja::Template> parsed, ControlNames names)
      : parsed_(std::move(parsed)), names_(std::move(names)) {}
  std::shared_ptr<const jinja::Template> parsed_;
  ControlNames names_;
};

// The prompt as text, for people and for comparison with transformers' apply_chat_template.
std::string render_chat(const ChatTemplate& chat, const std::vector<Message>& messages,
                        bool add_generation_prompt);

// The prompt as ids: the template's markup and that of the messages becomes special tokens, what
// else the messages hold never does.
std::vector<int> encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat,
                             const std::vector<Message>& messages, bool add_generation_prompt);

// For chat tuning. learn[i] != 0: ids[i] was said by the assistant, that is, stands after
// <｜Assistant｜> up to and including the next end of sentence, and is no value of a look-up, which
// the runtime writes.
struct ChatTokens {
  std::vector<int> ids;
  std::vector<uint8_t> learn;  // as long as ids
};
ChatTokens encode_chat_for_training(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                    const std::vector<Message>& messages);

// The text part of a model directory, as `transformers` loads it: tokenizer.json,
// tokenizer_config.json and chat_template.jinja.
void save_tokenizer_files(const Tokenizer& tokenizer, const ChatTemplate& chat,
                          const fs::path& model_directory);

}  // namespace shenhong
