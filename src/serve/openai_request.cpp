#include "serve/openai_request.h"

#include <algorithm>

#include "core/error.h"
#include "serve/request_fields.h"

namespace shenhong {
namespace {

constexpr size_t kMaxMessages = 4096, kMaxPrompts = 64;
// OpenAI allows 4; clients written for other servers send more.
constexpr size_t kMaxStops = 16, kMaxStopBytes = 256;
// Far above any context, and still far from overflow when a prompt's length is added.
constexpr int64_t kMaxTokens = 1 << 30;

constexpr auto kParts = std::to_array<std::string_view>({"text", "input_text"});

// Whether a value asks for what happens anyway.
bool is_neutral(const Json& value) {
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_number()) return value.get<double>() == 0;
  return value.empty();  // {}, []; a string is never empty in nlohmann's sense
}

[[noreturn]] void unsupported(const std::string& path, const Json& value,
                              std::string_view supported) {
  throw ApiError(400, "unsupported_value",
                 fmt::format("{} = {}: this server supports {}", path, shown(value), supported),
                 path);
}

void refuse(const RequestFields& fields, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    const Json* value = fields.find(name);
    if (value && !is_neutral(*value) && *value != "") {
      unsupported(fields.path(name), *value, "no such option; leave it out");
    }
  }
}

// Fields that other servers honour and we do not yet.
void refuse_unsupported(const RequestFields& fields) {
  for (const char* name : {"n", "best_of"}) {
    if (const auto n = fields.integer(name, 1, 128); n.value_or(1) != 1) {
      unsupported(name, *n, "1");
    }
  }
  refuse(fields,
         {"logprobs",     "top_logprobs",  "logit_bias",         "tools",           "functions",
          "audio",        "prediction",    "web_search_options", "suffix",          "echo",
          "min_tokens",   "ignore_eos",    "stop_token_ids",     "prompt_logprobs", "guided_json",
          "guided_regex", "guided_choice", "guided_grammar",     "grammar",         "json_schema"});
  for (const char* name : {"tool_choice", "function_call"}) {
    const Json* value = fields.find(name);
    if (value && *value != "none" && *value != "auto") unsupported(name, *value, "none");
  }
  if (const Json* value = fields.find("modalities"); value && *value != Json({"text"})) {
    unsupported("modalities", *value, "[\"text\"]");
  }
  if (const Json* value = fields.find("response_format")) {
    const RequestFields format(*value, "response_format");
    if (format.string("type").value_or("text") != "text") {
      unsupported("response_format.type", *format.find("type"), "text");
    }
  }
}

std::vector<std::string> read_stop(const RequestFields& fields) {
  const Json* value = fields.find("stop");
  if (!value) return {};
  const Json list = value->is_array() ? *value : Json::array({*value});
  if (list.size() > kMaxStops) {
    throw ApiError(400, "invalid_value",
                   fmt::format("stop: {} strings, at most {} are allowed", list.size(), kMaxStops),
                   "stop");
  }
  std::vector<std::string> stops;
  for (const Json& stop : list) {
    if (!stop.is_string()) wrong_type("stop", *value, "a string or a list of strings");
    const auto& text = stop.get_ref<const std::string&>();
    if (text.size() > kMaxStopBytes || (text.empty() && value->is_array())) {
      throw ApiError(
          400, "invalid_value",
          fmt::format("stop: a string of {} bytes, want 1 to {}", text.size(), kMaxStopBytes),
          "stop");
    }
    if (!text.empty()) stops.push_back(text);  // "" alone is how some clients say none
  }
  return stops;
}

SamplingConfig read_sampling(const RequestFields& fields, const SamplingConfig& defaults) {
  SamplingConfig sampling = defaults;
  const auto set = [&](const char* name, double& member, double low, double high) {
    member = fields.number(name, low, high).value_or(member);
  };
  set("temperature", sampling.temperature, 0, 2);
  set("top_p", sampling.top_p, 0, 1);
  set("min_p", sampling.min_p, 0, 1);
  set("frequency_penalty", sampling.frequency_penalty, -2, 2);
  set("presence_penalty", sampling.presence_penalty, -2, 2);
  set("repetition_penalty", sampling.repetition_penalty, 0.01, 100);
  // -1 is how vLLM's clients say "no cut".
  const auto top_k = fields.integer("top_k", -1, 1 << 24).value_or(sampling.top_k);
  sampling.top_k = int(std::max<int64_t>(top_k, 0));
  const auto seed = fields.integer("seed", INT64_MIN, INT64_MAX);
  sampling.seed = seed ? uint64_t(*seed) : random_seed();
  return sampling;
}

AnswerOptions read_options(const RequestFields& fields, const SamplingConfig& defaults) {
  AnswerOptions options;
  options.model = fields.string("model").value_or("");
  options.stream = fields.boolean("stream").value_or(false);
  if (const Json* value = fields.find("stream_options")) {
    const RequestFields stream_options(*value, "stream_options");
    options.include_usage = stream_options.boolean("include_usage").value_or(false);
  }
  // The older name counts only without the newer one, but nonsense is refused under either.
  const auto older = fields.integer("max_tokens", 1, kMaxTokens);
  const auto newer = fields.integer("max_completion_tokens", 1, kMaxTokens);
  if (const auto limit = newer ? newer : older) options.max_tokens = int(*limit);
  options.sampling = read_sampling(fields, defaults);
  options.stop = read_stop(fields);
  refuse_unsupported(fields);
  return options;
}

std::string read_content(const RequestFields& message) {
  const Json& content = message.need("content");
  const std::string path = message.path("content");
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) wrong_type(path, content, "a string or a list of text parts");
  std::string text;
  for (size_t i = 0; i < content.size(); ++i) {
    const RequestFields part(content[i], fmt::format("{}[{}]", path, i));
    const Json& type = part.need("type");
    if (std::ranges::find(kParts, type) == kParts.end())
      unsupported(part.path("type"), type, "text");
    part.need("text");
    text += *part.string("text");
  }
  return text;
}

Message read_message(const Json& json, const std::string& where) {
  const RequestFields fields(json, where);
  fields.need("role");
  std::string role = *fields.string("role");
  if (role == "developer") role = "system";
  if (role != "system" && role != "user" && role != "assistant") {
    unsupported(fields.path("role"), *fields.find("role"), "system, developer, user, assistant");
  }
  refuse(fields, {"tool_calls", "function_call", "audio"});
  return {std::move(role), read_content(fields)};
}

GroundingOptions read_grounding(const RequestFields& request, GroundingOptions options,
                                bool has_graph) {
  const Json* value = request.find("grounding");
  if (!value) return options;
  const RequestFields fields(*value, "grounding");
  if (const auto name = fields.string("mode")) {
    const auto mode = grounding_mode_of(*name);
    if (!mode) unsupported(fields.path("mode"), *name, "off, auto, always, strict");
    const bool needs_graph = *mode == GroundingMode::kAlways || *mode == GroundingMode::kStrict;
    if (needs_graph && !has_graph)
      unsupported(fields.path("mode"), *name, "off and auto: it was started without a graph");
    options.mode = *mode;
  }
  if (const auto facts = fields.integer("max_facts", 1, 64)) options.max_facts = int(*facts);
  if (const auto date = fields.string("as_of")) options.as_of = *date;
  return options;
}

Prompt read_ids(const Json& list, const std::string& where) {
  std::vector<int> ids;
  for (const Json& id : list) {
    const bool fits = id.is_number_integer() && id >= 0 && id <= INT32_MAX;
    if (!fits) wrong_type(where, id, "token ids");
    ids.push_back(id.get<int>());
  }
  return ids;
}

std::vector<Prompt> read_prompts(const Json& json) {
  constexpr std::string_view kWanted = "a string, a list of strings, or token ids";
  if (json.is_string()) return {json.get<std::string>()};
  if (!json.is_array() || json.empty()) wrong_type("prompt", json, kWanted);
  if (json[0].is_number()) return {read_ids(json, "prompt")};
  if (json.size() > kMaxPrompts) {
    throw ApiError(
        400, "invalid_value",
        fmt::format("prompt: {} prompts, at most {} are allowed at once", json.size(), kMaxPrompts),
        "prompt");
  }
  std::vector<Prompt> prompts;
  for (size_t i = 0; i < json.size(); ++i) {
    const std::string where = fmt::format("prompt[{}]", i);
    if (json[i].is_string()) {
      prompts.emplace_back(json[i].get<std::string>());
    } else if (json[i].is_array() && !json[i].empty()) {
      prompts.push_back(read_ids(json[i], where));
    } else {
      wrong_type(where, json[i], kWanted);
    }
  }
  return prompts;
}

}  // namespace

ChatRequest parse_chat_request(std::string_view body, const SamplingConfig& defaults,
                               const GroundingOptions& grounding, bool has_graph) {
  const Json json = parse_json(body, "body");
  const RequestFields fields(json, "");
  const Json& list = fields.need("messages");
  if (!list.is_array()) wrong_type("messages", list, "a list of messages");
  if (list.empty() || list.size() > kMaxMessages) {
    throw ApiError(400, "invalid_value",
                   fmt::format("messages: {} messages, want 1 to {}", list.size(), kMaxMessages),
                   "messages");
  }
  ChatRequest request;
  for (size_t i = 0; i < list.size(); ++i) {
    request.messages.push_back(read_message(list[i], fmt::format("messages[{}]", i)));
  }
  if (request.messages.back().role == "assistant") {
    throw ApiError(400, "unsupported_value",
                   "messages: the last one is the assistant's, and this server does not continue "
                   "an answer; end with the user's",
                   "messages");
  }
  request.options = read_options(fields, defaults);
  request.grounding = read_grounding(fields, grounding, has_graph);
  return request;
}

CompletionRequest parse_completion_request(std::string_view body, const SamplingConfig& defaults) {
  const Json json = parse_json(body, "body");
  const RequestFields fields(json, "");
  CompletionRequest request;
  request.prompts = read_prompts(fields.need("prompt"));
  // Here a count, and 0 of them still asks for those of the answer itself.
  if (const Json* value = fields.find("logprobs"); value && value->is_number()) {
    unsupported("logprobs", *value, "no such option; leave it out");
  }
  request.options = read_options(fields, defaults);
  return request;
}

}  // namespace shenhong
