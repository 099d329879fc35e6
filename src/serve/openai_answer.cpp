#include "serve/openai_answer.h"

#include <chrono>

#include "core/error.h"
#include "serve/request_head.h"

namespace shenhong {
namespace {

constexpr size_t kIdLetters = 29;

Json usage_json(std::span<const GenerateResult> results) {
  int64_t prompt = 0, completion = 0, cached = 0;
  for (const GenerateResult& result : results) {
    prompt += result.prompt_tokens;
    completion += int64_t(result.tokens.size());
    cached += result.cached_tokens;
  }
  return {{"prompt_tokens", prompt},
          {"completion_tokens", completion},
          {"total_tokens", prompt + completion},
          {"prompt_tokens_details", {{"cached_tokens", cached}}}};
}

// An extension: llama-server's names, and the rate under a plain one.
Json timings_json(const GenerateResult& result) {
  return {{"cache_n", result.cached_tokens},
          {"prompt_n", result.prompt_tokens - result.cached_tokens},
          {"prompt_ms", result.prefill_s * 1e3},
          {"predicted_n", result.tokens.size()},
          {"predicted_ms", result.decode_s * 1e3},
          {"predicted_per_second", result.tokens_per_s()},
          {"tokens_per_s", result.tokens_per_s()}};
}

}  // namespace

AnswerWriter::AnswerWriter(AnswerKind kind, std::string model, bool include_usage)
    : kind_(kind),
      model_(std::move(model)),
      id_((kind == AnswerKind::kChat ? "chatcmpl-" : "cmpl-") + random_name(kIdLetters)),
      include_usage_(include_usage),
      created_(std::chrono::duration_cast<std::chrono::seconds>(
                   std::chrono::system_clock::now().time_since_epoch())
                   .count()) {}

Json AnswerWriter::envelope(bool chunk) const {
  std::string_view object = "text_completion";
  if (kind_ == AnswerKind::kChat) object = chunk ? "chat.completion.chunk" : "chat.completion";
  return {{"id", id_}, {"object", object}, {"created", created_}, {"model", model_}};
}

std::string AnswerWriter::whole(std::span<const GenerateResult> results) const {
  Json body = envelope(false);
  Json& choices = body["choices"] = Json::array();
  for (const GenerateResult& result : results) {
    Json choice = {{"index", choices.size()}};
    if (kind_ == AnswerKind::kChat) {
      choice["message"] = {{"role", "assistant"}, {"content", result.text}, {"refusal", nullptr}};
    } else {
      choice["text"] = result.text;
    }
    choice["logprobs"] = nullptr;
    choice["finish_reason"] = finish_name(result.finish);
    choices.push_back(std::move(choice));
  }
  body["usage"] = usage_json(results);
  SH_ASSERT(!results.empty());
  body["timings"] = timings_json(results.back());
  return dump_json(body);
}

// `content` is the delta of a chat, or the text of a completion.
std::string AnswerWriter::chunk(int index, Json content, Json finish_reason, Json timings) const {
  Json body = envelope(true);
  Json choice = {{"index", index}};
  choice[kind_ == AnswerKind::kChat ? "delta" : "text"] = std::move(content);
  choice["logprobs"] = nullptr;
  choice["finish_reason"] = std::move(finish_reason);
  body["choices"] = Json::array({std::move(choice)});
  if (include_usage_) body["usage"] = nullptr;
  if (!timings.is_null()) body["timings"] = std::move(timings);
  return dump_json(body);
}

std::string AnswerWriter::begin(int index) const {
  if (kind_ == AnswerKind::kCompletion) return piece(index, "");
  return chunk(index, {{"role", "assistant"}, {"content", ""}}, nullptr, nullptr);
}

std::string AnswerWriter::piece(int index, std::string_view text) const {
  Json content = kind_ == AnswerKind::kChat ? Json{{"content", text}} : Json(text);
  return chunk(index, std::move(content), nullptr, nullptr);
}

std::string AnswerWriter::finish(int index, const GenerateResult& result) const {
  Json content = kind_ == AnswerKind::kChat ? Json::object() : Json("");
  return chunk(index, std::move(content), finish_name(result.finish), timings_json(result));
}

std::string AnswerWriter::usage(std::span<const GenerateResult> results) const {
  Json body = envelope(true);
  body["choices"] = Json::array();
  body["usage"] = usage_json(results);
  return dump_json(body);
}

}  // namespace shenhong
