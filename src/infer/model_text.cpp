#include "infer/model_text.h"

#include "core/error.h"
#include "formats/quoted.h"
#include "model/gguf_model.h"
#include "text/flat_vocabulary.h"

namespace shenhong {
namespace {

constexpr const char* kModelKey = "tokenizer.ggml.model";
constexpr const char* kPreKey = "tokenizer.ggml.pre";
constexpr const char* kTokensKey = "tokenizer.ggml.tokens";
constexpr const char* kKindsKey = "tokenizer.ggml.token_type";
constexpr const char* kMergesKey = "tokenizer.ggml.merges";
constexpr const char* kTemplateKey = "tokenizer.chat_template";
constexpr const char* kModel = "gpt2";  // GGUF's name for byte-level BPE
constexpr const char* kPre = "deepseek-v3";

std::vector<std::string> texts(const Gguf& file, const char* key) {
  const std::vector<std::string_view> views = file.strings(key);
  return {views.begin(), views.end()};
}

Tokenizer tokenizer_of(const Gguf& file) {
  const std::string path = file.path().string();
  for (const auto& [key, wanted] : {std::pair(kModelKey, kModel), std::pair(kPreKey, kPre)}) {
    const std::string_view value = file.string(key);
    SH_CHECK(value == wanted, kBadInput, "{}: {} = {}: only '{}' is supported", path, key,
             in_quotes(value), wanted);
  }
  FlatVocabulary flat{texts(file, kTokensKey), {}, texts(file, kMergesKey)};
  for (const int64_t kind : file.integers(kKindsKey)) flat.kinds.push_back(int32_t(kind));
  SH_CHECK(flat.kinds.size() == flat.tokens.size(), kBadInput,
           "{}: {} has {} entries, {} has {}; want as many", path, kKindsKey, flat.kinds.size(),
           kTokensKey, flat.tokens.size());
  return Tokenizer::parse(unflatten_vocabulary(flat), path + ": tokenizer.ggml");
}

}  // namespace

Tokenizer load_tokenizer(const fs::path& model) {
  return is_gguf(model) ? tokenizer_of(Gguf(model)) : Tokenizer::load(model / "tokenizer.json");
}

ChatTemplate load_chat_template(const fs::path& model) {
  if (!is_gguf(model)) return ChatTemplate::load(model);
  const Gguf file(model);
  return ChatTemplate::parse(std::string(file.string(kTemplateKey)),
                             fmt::format("{}: {}", model.string(), kTemplateKey));
}

GgufMetadata gguf_text_metadata(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                const ModelConfig& config, const std::string& source) {
  FlatVocabulary flat = flatten_vocabulary(tokenizer.json(), source);
  SH_CHECK(int(flat.tokens.size()) <= config.vocab_size, kBadInput,
           "{}: {} tokens, but vocab_size = {}", source, flat.tokens.size(), config.vocab_size);
  for (int id = int(flat.tokens.size()); id < config.vocab_size; ++id) {
    flat.tokens.push_back(fmt::format("[PAD{}]", id));
    flat.kinds.push_back(FlatVocabulary::kUnused);
  }
  return {{kModelKey, std::string(kModel)},
          {kPreKey, std::string(kPre)},
          {kTokensKey, std::move(flat.tokens)},
          {kKindsKey, std::move(flat.kinds)},
          {kMergesKey, std::move(flat.merges)},
          {"tokenizer.ggml.bos_token_id", uint32_t(config.bos_token_id)},
          {"tokenizer.ggml.eos_token_id", uint32_t(config.eos_token_id)},
          {"tokenizer.ggml.padding_token_id", uint32_t(tokenizer.pad_id())},
          {"tokenizer.ggml.add_bos_token", true},
          {"tokenizer.ggml.add_eos_token", false},
          {kTemplateKey, chat.text()}};
}

}  // namespace shenhong
