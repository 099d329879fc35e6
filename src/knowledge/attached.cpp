#include "knowledge/attached.h"

namespace shenhong {

fs::path endpoint_file(const fs::path& graph) { return graph.string() + ".endpoint.json"; }

std::optional<EndpointConfig> attached_endpoint(const fs::path& graph) {
  const fs::path file = endpoint_file(graph);
  if (!fs::exists(file)) return {};
  EndpointConfig config;
  fields_from_json(config, parse_json(read_file(file), file.string()), file.string());
  return config;
}

void attach_endpoint(const fs::path& graph, const EndpointConfig& config) {
  write_file(endpoint_file(graph), dump_json(fields_to_json(config), 2) + "\n");
}

bool detach_endpoint(const fs::path& graph) { return fs::remove(endpoint_file(graph)); }

}  // namespace shenhong
