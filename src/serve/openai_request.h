// OpenAI's request bodies as typed, checked values. We are lenient in what we accept: unknown
// fields are ignored and null is absent. But a known field that we cannot honour is refused by name
// unless its value asks for nothing: an answer must not silently differ from what was asked.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "grounding/look_up_guide.h"
#include "infer/sampler.h"
#include "text/chat_template.h"

namespace shenhong {

struct AnswerOptions {
  std::string model;  // "" when not given
  bool stream = false;
  bool include_usage = false;
  std::optional<int> max_tokens;
  SamplingConfig sampling;  // the model's defaults where the request is silent; the seed is set
  std::vector<std::string> stop;
};

struct ChatRequest {
  AnswerOptions options;
  std::vector<Message> messages;  // the last is not the assistant's
  GroundingOptions grounding;
};

// Text, or ids that the client made itself.
using Prompt = std::variant<std::string, std::vector<int>>;

struct CompletionRequest {
  AnswerOptions options;
  std::vector<Prompt> prompts;  // at least one
};

// All throw ApiError(400) whose param is the field to blame, or Error(kBadInput) for broken JSON.
// `has_graph`: whether there is anything to look up.
ChatRequest parse_chat_request(std::string_view body, const SamplingConfig& defaults,
                               const GroundingOptions& grounding = {}, bool has_graph = false);
CompletionRequest parse_completion_request(std::string_view body, const SamplingConfig& defaults);

}  // namespace shenhong
