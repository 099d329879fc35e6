#include "infer/model_text.h"

#include "core/error.h"
#include "core/quoted.h"
#include "model/gguf_model.h"
#include "text/flat_vocabulary.h"

namespace shenhong {
namespace {

constexpr const char* kModelKey = "tokenizer.ggml.model";
constexpr const char* kPreKey = "tokenizer.ggml.pre";
constexpr const char* kTokensKey = "tokenizer.ggml.tokens";
constexpr const char* kKindsKey = "tokenizer.ggml.token_type";
constexpr const char* kMergesKey = "tokenizer.ggml.merges";
constexpr const char* kBosKey = "tokenizer.ggml.bos_token_id";
constexpr const char* kEosKey = "tokenizer.ggml.eos_token_id";
constexpr const char* kPadKey = "tokenizer.ggml.padding_token_id";
constexpr const char* kAddsBosKey = "tokenizer.ggml.add_bos_token";
constexpr const char* kTemplateKey = "tokenizer.chat_template";
constexpr const char* kModel = "gpt2";  // GGUF's name for byte-level BPE
constexpr const char* kPre = "deepseek-v3";

std::vector<std::string> texts(const Gguf& file, const char* key) {
  const std::vector<std::string_view> views = file.strings(key);
  return {views.begin(), views.end()};
}

const NamedPretokenizer& words_of(const Gguf& file) {
  const std::string path = file.path().string();
  const std::string_view model = file.string(kModelKey), pre = file.string(kPreKey);
  SH_CHECK(model == kModel, kBadInput,
           "{}: {} = {}: only '{}' (byte-level BPE) is supported, no SentencePiece", path,
           kModelKey, in_quotes(model), kModel);
  const NamedPretokenizer* words = find_pretokenizer(pre);
  SH_CHECK(words, kBadInput, "{}: {} = {}: supported are {}", path, kPreKey, in_quotes(pre),
           pretokenizer_names());
  return *words;
}

ControlNames names_of(const Gguf& file, const NamedPretokenizer& words) {
  const std::vector<std::string_view> tokens = file.strings(kTokensKey);
  const auto name = [&](const char* key) {
    const int64_t id = file.integer(key);
    SH_CHECK(id >= 0 && id < int64_t(tokens.size()), kBadInput, "{}: {} = {}: want 0 to {}",
             file.path().string(), key, id, int64_t(tokens.size()) - 1);
    return std::string(tokens[size_t(id)]);
  };
  const auto name_if_any = [&](const char* key) { return file.has(key) ? name(key) : ""; };
  return {name_if_any(kBosKey), name(kEosKey), name_if_any(kPadKey),
          file.has(kAddsBosKey) ? file.boolean(kAddsBosKey) : words.adds_bos};
}

Tokenizer tokenizer_of(const Gguf& file) {
  const std::string path = file.path().string();
  const NamedPretokenizer& words = words_of(file);
  FlatVocabulary flat{texts(file, kTokensKey), {}, texts(file, kMergesKey)};
  for (const int64_t kind : file.integers(kKindsKey)) flat.kinds.push_back(int32_t(kind));
  SH_CHECK(flat.kinds.size() == flat.tokens.size(), kBadInput,
           "{}: {} has {} entries, {} has {}; want as many", path, kKindsKey, flat.kinds.size(),
           kTokensKey, flat.tokens.size());
  return Tokenizer::parse(unflatten_vocabulary(flat, words), path + ": tokenizer.ggml",
                          names_of(file, words));
}

}  // namespace

Tokenizer load_tokenizer(const fs::path& model) {
  if (is_gguf(model)) return tokenizer_of(Gguf(model));
  return Tokenizer::load(model / "tokenizer.json", read_control_names(model));
}

ChatTemplate load_chat_template(const fs::path& model) {
  if (!is_gguf(model)) return ChatTemplate::load(model);
  const Gguf file(model);
  if (!file.has(kTemplateKey)) return ChatTemplate::absent();
  return ChatTemplate::parse(std::string(file.string(kTemplateKey)),
                             fmt::format("{}: {}", model.string(), kTemplateKey),
                             names_of(file, words_of(file)));
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
  GgufMetadata metadata = {{kModelKey, std::string(kModel)},
                           {kPreKey, std::string(kPre)},
                           {kTokensKey, std::move(flat.tokens)},
                           {kKindsKey, std::move(flat.kinds)},
                           {kMergesKey, std::move(flat.merges)},
                           {kBosKey, uint32_t(config.bos_token_id)},
                           {kEosKey, uint32_t(config.eos_token_id)},
                           {kPadKey, uint32_t(tokenizer.pad_id())},
                           {kAddsBosKey, true},
                           {"tokenizer.ggml.add_eos_token", false}};
  if (!chat.text().empty()) metadata.emplace_back(kTemplateKey, chat.text());
  return metadata;
}

}  // namespace shenhong
