// What serving needs of an engine: a seam, so that the tests of the protocol need no model.
#pragma once

#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "infer/engine.h"

namespace shenhong {

struct Generator {
  std::string name;
  int context_tokens = 0, vocab_size = 0;
  SamplingConfig default_sampling;

  // From any thread.
  std::function<std::vector<int>(const std::vector<Message>&)> chat_prompt;
  std::function<std::vector<int>(std::string_view)> text_prompt;  // BOS, then the text
  std::function<std::vector<int>(std::string_view)> encode;
  std::function<std::string(std::span<const int>)> decode;

  // One call at a time; Engine::generate.
  std::function<GenerateResult(const GenerateRequest&, const Engine::OnPiece&, std::stop_token)>
      generate;
};

// `engine` must outlive it.
Generator generator_of(Engine& engine);

}  // namespace shenhong
