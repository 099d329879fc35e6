#include "serve/generator.h"

namespace shenhong {

Generator generator_of(Engine& engine, Graph* graph, const GroundingOptions& grounding) {
  Generator generator;
  generator.name = engine.name();
  generator.context_tokens = engine.context_tokens();
  generator.cache_limits_context = engine.cache_limits_context();
  generator.vocab_size = engine.tokenizer().vocab_size();
  generator.default_sampling = engine.default_sampling();
  generator.chat_prompt = [&](const auto& messages) { return engine.chat_prompt(messages); };
  generator.text_prompt = [&](std::string_view text) { return engine.text_prompt(text); };
  generator.encode = [&](std::string_view text) { return engine.tokenizer().encode(text); };
  generator.decode = [&](std::span<const int> ids) { return engine.tokenizer().decode(ids); };
  generator.generate = [&](const GenerateRequest& request, const OnPiece& on_piece,
                           std::stop_token stop) {
    return engine.generate(request, on_piece, std::move(stop));
  };
  if (!graph) return generator;
  generator.default_grounding = grounding;
  generator.facts = graph->store.statistics()["facts"].get<int64_t>();
  generator.generate_grounded = [&engine, graph](const std::vector<Message>& messages,
                                                 const GenerateRequest& request,
                                                 const GroundingOptions& options,
                                                 const OnPiece& on_piece, std::stop_token stop) {
    const GroundedAnswer answer =
        answer_grounded(engine, graph, messages, request, options, on_piece, std::move(stop));
    GroundedReply reply{answer, annotations_json(*graph, answer),
                        grounding_json(*graph, answer, options.mode)};
    return reply;
  };
  return generator;
}

}  // namespace shenhong
