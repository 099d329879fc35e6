// An answer that may look facts up, with an account of what it looked up.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "grounding/look_up_guide.h"

namespace shenhong {

struct GroundedAnswer : GenerateResult {
  GroundingTrace trace;
};

// Answers the conversation; `request` says everything but the prompt. Without a graph, or with mode
// off, nothing is looked up. Errors as Engine::generate and LookUpGuide.
GroundedAnswer answer_grounded(Engine& engine, Graph* graph,
                               const std::vector<Message>& conversation, GenerateRequest request,
                               const GroundingOptions& options, const OnPiece& on_piece = {},
                               std::stop_token stop = {});

// The fields that a chat answer carries beside OpenAI's, docs/formats.md. Indices count code points
// of the text.
//   "annotations": [{"type": "kg_citation", "index", "start_index", "end_index", "kg_citation":
//   {...}}, ...]
Json annotations_json(Graph& graph, const GroundedAnswer& answer);
//   "grounding": {"mode", "decision", "index_lookups", "fact_tokens", "lookup_ms", "queries":
//   [...], "kg_version"}
Json grounding_json(Graph& graph, const GroundedAnswer& answer, GroundingMode mode);

// One of "queries": {"entity", "relation", "inverse", "found", "doubtful", "probability"}
Json query_json(const GraphQuery& query);

}  // namespace shenhong
