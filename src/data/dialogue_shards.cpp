#include "data/dialogue_shards.h"

#include "core/error.h"
#include "core/json.h"
#include "core/lines.h"
#include "core/parallel.h"
#include "data/shards.h"

namespace shenhong {
namespace {

// "markup": [[begin, end], ...], bytes of the content.
std::vector<std::pair<size_t, size_t>> markup_of(const Json& message, const std::string& where) {
  std::vector<std::pair<size_t, size_t>> markup;
  if (!message.contains("markup")) return markup;
  SH_CHECK(message["markup"].is_array(), kBadInput, "{}: markup is no list", where);
  size_t at = 0;
  const size_t size = message["content"].get_ref<const std::string&>().size();
  for (const Json& span : message["markup"]) {
    const bool pair = span.is_array() && span.size() == 2 && span[0].is_number_unsigned() &&
                      span[1].is_number_unsigned();
    SH_CHECK(pair && at <= span[0] && span[0] <= span[1] && span[1] <= size, kBadInput,
             "{}: markup {} is no pair of places in the content, in order", where, span.dump());
    markup.emplace_back(span[0], at = span[1]);
  }
  return markup;
}

std::vector<Message> messages_of(std::string_view line, const std::string& where) {
  const Json json = parse_json(line, where);
  const auto list = json.find("messages");
  SH_CHECK(json.is_object() && list != json.end() && list->is_array() && !list->empty(), kBadInput,
           "{}: has no list 'messages'", where);
  std::vector<Message> messages;
  for (const Json& message : *list) {
    const auto text = [&](const char* key) {
      SH_CHECK(message.is_object() && message.contains(key) && message[key].is_string(), kBadInput,
               "{}: a message has no text '{}'", where, key);
      return message[key].get<std::string>();
    };
    const Json learnt = message.contains("learn") ? message["learn"] : Json(true);
    SH_CHECK(learnt.is_boolean(), kBadInput, "{}: learn = {}: want true or false", where,
             learnt.dump());
    messages.push_back(
        {text("role"), text("content"), markup_of(message, where), learnt.get<bool>()});
  }
  return messages;
}

struct Encoded {
  ChatTokens tokens;
  int64_t text_bytes = 0;  // of what is learnt, so that bits per byte are those of the answers
};

void write_split(const fs::path& directory, const std::string& split, const Vocabulary& vocabulary,
                 const Tokenizer& tokenizer, const ChatTemplate& chat) {
  constexpr size_t kBatch = 4096;
  const fs::path path = directory / (split + ".jsonl.zst");
  LineReader reader(path);
  ShardWriter writer(directory, split, vocabulary, /*with_mask=*/true);
  std::vector<std::string> lines;
  std::vector<Encoded> encoded;
  const auto flush = [&](int64_t first_line) {
    encoded.assign(lines.size(), {});
    parallel_for(int64_t(lines.size()), [&](int64_t i) {
      const auto messages =
          messages_of(lines[i], fmt::format("{}:{}", path.string(), first_line + i));
      encoded[i].tokens = encode_chat_for_training(tokenizer, chat, messages);
      for (const Message& message : messages)
        if (message.role == "assistant" && message.learn)
          encoded[i].text_bytes += int64_t(message.content.size());
    });
    for (const Encoded& e : encoded) writer.add(e.tokens.ids, e.text_bytes, e.tokens.learn);
    lines.clear();
  };
  std::string line;
  while (reader.next(line)) {
    lines.push_back(line);
    if (lines.size() == kBatch) flush(reader.number() - int64_t(kBatch) + 1);
  }
  if (!lines.empty()) flush(reader.number() - int64_t(lines.size()) + 1);
  writer.finish();
}

}  // namespace

void write_dialogue_shards(const fs::path& directory, const fs::path& tokenizer_json,
                           const ChatTemplate& chat) {
  const Tokenizer tokenizer = Tokenizer::load(tokenizer_json);
  const Vocabulary vocabulary{tokenizer.vocab_size(), vocabulary_hash(tokenizer_json),
                              tokenizer.bos_id(), tokenizer.eos_id()};
  for (const char* split : {"train", "valid"})
    write_split(directory, split, vocabulary, tokenizer, chat);
}

}  // namespace shenhong
