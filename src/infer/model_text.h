// The text part of a model, be it a model directory or a GGUF file: tokenizer and chat template.
#pragma once

#include "core/file.h"
#include "model/config.h"
#include "model/gguf_config.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace shenhong {

// Error(kBadInput) names the file and what is missing, broken or of a kind that we do not support:
// of a GGUF's tokenizers that is any but byte-level BPE with words of a known name.
Tokenizer load_tokenizer(const fs::path& model);
ChatTemplate load_chat_template(const fs::path& model);

// Tokenizer and chat template as metadata of a GGUF, padded to config.vocab_size. `source` names
// the tokenizer in errors.
GgufMetadata gguf_text_metadata(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                const ModelConfig& config, const std::string& source);

}  // namespace shenhong
