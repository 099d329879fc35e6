// Dialogues as token shards whose mask marks what the assistant said.
#pragma once

#include "core/file.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace shenhong {

// Reads DIR/{train,valid}.jsonl.zst as write_dialogues leaves them, writes
// DIR/{train,valid}-NNNNN.tok. Error(kBadInput) names the line that is no dialogue.
void write_dialogue_shards(const fs::path& directory, const fs::path& tokenizer_json,
                           const ChatTemplate& chat);

}  // namespace shenhong
