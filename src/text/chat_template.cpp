#include "text/chat_template.h"

#include <utility>

#include "core/error.h"
#include "core/json.h"
#include "text/jinja.h"
#include "text/special_tokens.h"

namespace shenhong {
namespace {

constexpr const char* kFile = "chat_template.jinja";

constexpr const char* kDeepseek =
    R"({%- if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif -%}
{#- All system texts come first, whatever their place. -#}
{%- set ns = namespace(system='', first=true) -%}
{%- for message in messages -%}
  {%- if message['role'] == 'system' -%}
    {%- set ns.system = ns.system + ('' if ns.first else '\n\n') + message['content'] -%}
    {%- set ns.first = false -%}
  {%- endif -%}
{%- endfor -%}
{{- bos_token + ns.system -}}
{%- for message in messages -%}
  {%- if message['role'] == 'user' -%}
    {{- '<｜User｜>' + message['content'] -}}
  {%- elif message['role'] == 'assistant' -%}
    {{- '<｜Assistant｜>' + message['content'] + eos_token -}}
  {%- elif message['role'] != 'system' -%}
    {{- raise_exception("unknown role '" + message['role'] + "'; known: system, user, assistant") -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<｜Assistant｜>' -}}{%- endif -%}
)";

// Marks what is to be learnt of what the assistant says. Only markup can be a special token, so
// nobody's words can open or close a turn.
std::vector<uint8_t> learnt_tokens(const Tokenizer& tokenizer, const std::vector<Message>& messages,
                                   const std::vector<int>& ids) {
  const std::optional<int> assistant = tokenizer.token_id(kAssistant);
  SH_CHECK(assistant && tokenizer.is_special(*assistant), kBadInput,
           "the tokenizer has no special token '{}'", kAssistant);
  const std::optional<int> value = tokenizer.token_id(kKgValue), end = tokenizer.token_id(kKgEnd),
                           null = tokenizer.token_id(kKgNull);
  std::vector<uint8_t> learn(ids.size(), 0);
  std::vector<bool> learn_turn;
  for (const Message& message : messages)
    if (message.role == "assistant") learn_turn.push_back(message.learn);
  size_t turn = 0;
  bool speaking = false, in_value = false;
  for (size_t i = 0; i < ids.size(); ++i) {
    learn[i] = speaking && !in_value && ids[i] != null;
    if (ids[i] == *assistant) speaking = turn >= learn_turn.size() || learn_turn[turn], ++turn;
    if (ids[i] == tokenizer.eos_id()) speaking = false;
    if (ids[i] == value) in_value = true;
    if (ids[i] == end) in_value = false;
  }
  return learn;
}

jinja::Text content_of(const Message& message) {
  jinja::Text text;
  size_t at = 0;
  for (const auto& [begin, end] : message.markup) {
    SH_ASSERT(at <= begin && begin <= end && end <= message.content.size());
    text.append(jinja::Text(message.content.substr(at, begin - at), true));
    text.append(jinja::Text(message.content.substr(begin, end - begin), false));
    at = end;
  }
  text.append(jinja::Text(message.content.substr(at), true));
  return text;
}

}  // namespace

ChatTemplate ChatTemplate::parse(std::string jinja, const std::string& source, ControlNames names) {
  return ChatTemplate(jinja::parse(std::move(jinja), source), std::move(names));
}

ChatTemplate ChatTemplate::load(const fs::path& directory) {
  const fs::path file = directory / kFile;
  if (fs::exists(file)) return parse(read_file(file), file.string(), read_control_names(directory));
  const fs::path config = directory / "tokenizer_config.json";
  if (!fs::exists(config)) return absent();
  const Json json = parse_json(read_file(config), config.string());
  const auto found = json.is_object() ? json.find("chat_template") : json.end();
  if (found == json.end()) return absent();
  SH_CHECK(found->is_string(), kBadInput, "{}: chat_template is {}; want a string", config.string(),
           found->type_name());
  return parse(found->get<std::string>(), config.string() + ": chat_template",
               read_control_names(directory));
}

ChatTemplate ChatTemplate::deepseek() {
  static const ChatTemplate instance = parse(kDeepseek, "the built-in chat template");
  return instance;
}

ChatTemplate ChatTemplate::absent() {
  static const ChatTemplate instance = ChatTemplate(nullptr, {});
  return instance;
}

const std::string& ChatTemplate::text() const {
  static const std::string none;
  return parsed_ ? jinja::text_of(*parsed_) : none;
}

std::vector<ChatTemplate::Piece> ChatTemplate::render(const std::vector<Message>& messages,
                                                      bool add_generation_prompt) const {
  SH_CHECK(parsed_, kUsage,
           "this model has no chat template and only continues texts: want generate --raw, or "
           "/v1/completions of serve");
  using jinja::Text, jinja::Value;
  auto list = std::make_shared<std::vector<Value>>();
  for (const Message& message : messages) {
    auto object = std::make_shared<std::vector<std::pair<std::string, Value>>>();
    object->emplace_back("role", Value{Text(message.role, true)});
    object->emplace_back("content", Value{content_of(message)});
    list->push_back({std::move(object)});
  }
  std::vector<std::pair<std::string, Value>> variables;
  variables.emplace_back("messages", Value{std::move(list)});
  variables.emplace_back("bos_token", Value{Text(names_.bos)});
  variables.emplace_back("eos_token", Value{Text(names_.eos)});
  variables.emplace_back("add_generation_prompt", Value{add_generation_prompt});
  const Text text = jinja::render(*parsed_, std::move(variables));
  std::vector<Piece> pieces;
  for (const Text::Run& run : text.runs()) pieces.push_back({run.bytes, run.outside});
  return pieces;
}

std::string render_chat(const ChatTemplate& chat, const std::vector<Message>& messages,
                        bool add_generation_prompt) {
  std::string text;
  for (const auto& piece : chat.render(messages, add_generation_prompt)) text += piece.text;
  return text;
}

std::vector<int> encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat,
                             const std::vector<Message>& messages, bool add_generation_prompt) {
  std::vector<int> ids;
  for (const auto& piece : chat.render(messages, add_generation_prompt)) {
    const std::vector<int> more = piece.from_message ? tokenizer.encode(piece.text)
                                                     : tokenizer.encode_with_special(piece.text);
    ids.insert(ids.end(), more.begin(), more.end());
  }
  return ids;
}

ChatTokens encode_chat_for_training(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                    const std::vector<Message>& messages) {
  ChatTokens tokens;
  tokens.ids = encode_chat(tokenizer, chat, messages, false);
  tokens.learn = learnt_tokens(tokenizer, messages, tokens.ids);
  return tokens;
}

void save_tokenizer_files(const Tokenizer& tokenizer, const ChatTemplate& chat,
                          const fs::path& directory) {
  tokenizer.save(directory / "tokenizer.json");
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"bos_token", kBos},
                 {"eos_token", kEos},
                 {"pad_token", tokenizer.token_bytes(tokenizer.pad_id())},
                 {"clean_up_tokenization_spaces", false}};
  if (!chat.text().empty()) {
    write_file(directory / kFile, chat.text());
    config["chat_template"] = chat.text();
  }
  write_file(directory / "tokenizer_config.json", dump_json(config, 2) + "\n");
}

}  // namespace shenhong
