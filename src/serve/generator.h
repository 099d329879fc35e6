// What serving needs of an engine: a seam, so that the tests of the protocol need no model.
#pragma once

#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "grounding/grounded_answer.h"

namespace shenhong {

// An answer and, where a graph is attached, the fields that tell what was looked up; else null.
struct GroundedReply : GenerateResult {
  Json annotations, grounding;
};

struct Generator {
  std::string name;
  int context_tokens = 0, vocab_size = 0;
  bool cache_limits_context = false;  // the model itself could read more
  SamplingConfig default_sampling;

  // From any thread.
  std::function<std::vector<int>(const std::vector<Message>&)> chat_prompt;
  std::function<std::vector<int>(std::string_view)> text_prompt;  // BOS, then the text
  std::function<std::vector<int>(std::string_view)> encode;
  std::function<std::string(std::span<const int>)> decode;

  // From any thread; Engine::generate.
  std::function<GenerateResult(const GenerateRequest&, const OnPiece&, std::stop_token)> generate;

  // The same for a conversation, with look-ups; empty: no graph is attached. The request's prompt
  // is not used.
  std::function<GroundedReply(const std::vector<Message>&, const GenerateRequest&,
                              const GroundingOptions&, const OnPiece&, std::stop_token)>
      generate_grounded;
  GroundingOptions default_grounding;
  int64_t facts = 0;  // of the graph
};

// `engine` and `graph` (null: none) must outlive it.
Generator generator_of(Engine& engine, Graph* graph = nullptr,
                       const GroundingOptions& grounding = {});

}  // namespace shenhong
