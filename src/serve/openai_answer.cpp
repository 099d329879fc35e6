#include "serve/openai_answer.h"

#include <chrono>

#include "core/error.h"
#include "serve/request_head.h"

namespace shenhong {
namespace {

constexpr size_t kIdLetters = 29;

Json usage_json(std::span<const GroundedReply> results) {
  int64_t prompt = 0, completion = 0, cached = 0, facts = 0, drafted = 0, accepted = 0;
  bool grounded = false;
  for (const GroundedReply& result : results) {
    prompt += result.prompt_tokens;
    completion += int64_t(result.tokens.size());
    cached += result.cached_tokens;
    drafted += result.drafts.all_made();
    accepted += result.drafts.all_accepted();
    grounded |= !result.grounding.is_null();
    if (!result.grounding.is_null()) facts += result.grounding["fact_tokens"].get<int64_t>();
  }
  Json usage = {{"prompt_tokens", prompt},
                {"completion_tokens", completion},
                {"total_tokens", prompt + completion},
                {"prompt_tokens_details", {{"cached_tokens", cached}}}};
  // What was read and not drawn: a part of the completion.
  if (grounded) usage["completion_tokens_details"]["fact_tokens"] = facts;
  // OpenAI's names, of what a client predicts there; here the model did itself.
  if (drafted > 0) {
    usage["completion_tokens_details"]["accepted_prediction_tokens"] = accepted;
    usage["completion_tokens_details"]["rejected_prediction_tokens"] = drafted - accepted;
  }
  return usage;
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

std::string AnswerWriter::whole(std::span<const GroundedReply> results) const {
  Json body = envelope(false);
  Json& choices = body["choices"] = Json::array();
  for (const GroundedReply& result : results) {
    Json choice = {{"index", choices.size()}};
    if (kind_ == AnswerKind::kChat) {
      choice["message"] = {{"role", "assistant"}, {"content", result.text}, {"refusal", nullptr}};
      if (!result.annotations.is_null()) choice["message"]["annotations"] = result.annotations;
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
  if (!results.back().grounding.is_null()) body["grounding"] = results.back().grounding;
  return dump_json(body);
}

// `content` is the delta of a chat, or the text of a completion.
Json AnswerWriter::chunk(int index, Json content, Json finish_reason) const {
  Json body = envelope(true);
  Json choice = {{"index", index}};
  choice[kind_ == AnswerKind::kChat ? "delta" : "text"] = std::move(content);
  choice["logprobs"] = nullptr;
  choice["finish_reason"] = std::move(finish_reason);
  body["choices"] = Json::array({std::move(choice)});
  if (include_usage_) body["usage"] = nullptr;
  return body;
}

std::string AnswerWriter::begin(int index) const {
  if (kind_ == AnswerKind::kCompletion) return piece(index, "");
  return dump_json(chunk(index, {{"role", "assistant"}, {"content", ""}}, nullptr));
}

std::string AnswerWriter::piece(int index, std::string_view text) const {
  Json content = kind_ == AnswerKind::kChat ? Json{{"content", text}} : Json(text);
  return dump_json(chunk(index, std::move(content), nullptr));
}

std::string AnswerWriter::finish(int index, const GroundedReply& result) const {
  Json content = kind_ == AnswerKind::kChat ? Json::object() : Json("");
  if (kind_ == AnswerKind::kChat && !result.annotations.is_null())
    content["annotations"] = result.annotations;
  Json body = chunk(index, std::move(content), finish_name(result.finish));
  body["timings"] = timings_json(result);
  if (!result.grounding.is_null()) body["grounding"] = result.grounding;
  return dump_json(body);
}

std::string AnswerWriter::usage(std::span<const GroundedReply> results) const {
  Json body = envelope(true);
  body["choices"] = Json::array();
  body["usage"] = usage_json(results);
  return dump_json(body);
}

}  // namespace shenhong
