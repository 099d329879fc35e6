#include "grounding/grounded_answer.h"

#include <memory>
#include <mutex>

#include "text/utf8.h"

namespace shenhong {

GroundedAnswer answer_grounded(Engine& engine, Graph* graph,
                               const std::vector<Message>& conversation, GenerateRequest request,
                               const GroundingOptions& options, const OnPiece& on_piece,
                               std::stop_token stop) {
  request.prompt = engine.chat_prompt(conversation);
  std::unique_ptr<LookUpGuide> guide;
  if (graph && options.mode != GroundingMode::kOff) {
    guide = std::make_unique<LookUpGuide>(*graph, engine, conversation, options);
    request.guide = guide.get();
  }
  GroundedAnswer answer;
  static_cast<GenerateResult&>(answer) = engine.generate(request, on_piece, std::move(stop));
  if (guide) answer.trace = guide->trace();
  return answer;
}

Json annotations_json(Graph& graph, const GroundedAnswer& answer) {
  const std::lock_guard lock(graph.mutex);
  Json annotations = Json::array();
  const std::string_view text = answer.text;
  for (size_t i = 0; i < answer.trace.citations.size(); ++i) {
    const CitedFact& cited = answer.trace.citations[i];
    if (cited.end > text.size()) break;  // a stop string ended the answer before it
    Json fact = fact_to_json(graph.store, cited.fact);
    fact["labels"] = {
        {"subject", cited.subject}, {"relation", cited.relation}, {"object", cited.object}};
    const size_t begin = count_characters(text.substr(0, cited.begin));
    const size_t end = begin + count_characters(text.substr(cited.begin, cited.end - cited.begin));
    annotations.push_back({{"type", "kg_citation"},
                           {"index", i + 1},
                           {"start_index", begin},
                           {"end_index", end},
                           {"kg_citation", fact}});
    // OpenAI's own kind, for clients that know only that.
    if (const std::string url = fact.value("url", ""); !url.empty())
      annotations.push_back({{"type", "url_citation"},
                             {"url_citation",
                              {{"start_index", begin},
                               {"end_index", end},
                               {"url", url},
                               {"title", fact["source"]}}}});
  }
  return annotations;
}

Json query_json(const GraphQuery& query) {
  return {{"entity", query.entity},     {"relation", query.label},
          {"inverse", query.inverse},   {"found", query.found},
          {"doubtful", query.doubtful}, {"probability", query.probability}};
}

Json grounding_json(Graph& graph, const GroundedAnswer& answer, GroundingMode mode) {
  const std::lock_guard lock(graph.mutex);
  const GroundingTrace& trace = answer.trace;
  Json queries = Json::array();
  for (const GraphQuery& query : trace.queries) queries.push_back(query_json(query));
  return {
      {"mode", grounding_mode_name(mode)}, {"decision", grounding_decision_name(trace.decision)},
      {"index_lookups", trace.look_ups},   {"fact_tokens", trace.fact_tokens},
      {"lookup_ms", trace.seconds * 1e3},  {"queries", std::move(queries)},
      {"kg_backend", trace.backend},       {"kg_version", graph.store.version()}};
}

}  // namespace shenhong
