// Which endpoint is asked where a graph is silent: GRAPH.endpoint.json, beside the graph and not in
// it, so that a graph from elsewhere brings no address to ask, no permission and no path to read.
#pragma once

#include <optional>

#include "core/file.h"
#include "knowledge/sparql.h"

namespace shenhong {

fs::path endpoint_file(const fs::path& graph);
// Error(kBadInput) names the file and the key that is wrong.
std::optional<EndpointConfig> attached_endpoint(const fs::path& graph);
void attach_endpoint(const fs::path& graph, const EndpointConfig& config);
bool detach_endpoint(const fs::path& graph);  // false: none was attached

}  // namespace shenhong
