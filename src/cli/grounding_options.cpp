#include "cli/grounding_options.h"

#include <cstdlib>

#include "core/error.h"

namespace shenhong {

fs::path default_graph() {
  const char* set = std::getenv("SHENHONG_GRAPH");
  return set && *set ? set : "data/graph.kg";
}

std::unique_ptr<Graph> open_graph(const fs::path& path) {
  Store store = Store::open(path);
  store.check();
  const auto endpoint = store.endpoint();
  if (!endpoint) return std::make_unique<Graph>(std::move(store));
  return std::make_unique<Graph>(Store::open(path, Access::kWrite), SparqlEndpoint(*endpoint));
}

void GroundingFlags::add_to(CLI::App& verb) {
  verb.add_option("--graph", graph_,
                  "knowledge graph to look facts up in; default: SHENHONG_GRAPH, else "
                  "data/graph.kg if it is there");
  verb.add_option("--grounding", mode_,
                  "off: look nothing up; auto: when the model asks; always: whenever the question "
                  "names something "
                  "known; strict: as always, and abstain when in doubt")
      ->capture_default_str();
  verb.add_option("--as-of", as_of_, "leave out facts that do not hold at this date or year");
  verb.add_option("--max-facts", max_facts_, "values named for one relation")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
}

GroundingOptions GroundingFlags::options() const {
  const auto mode = grounding_mode_of(mode_);
  SH_CHECK(mode.has_value(), kUsage, "--grounding {}: want off, auto, always or strict", mode_);
  return {*mode, max_facts_, as_of_};
}

std::unique_ptr<Graph> GroundingFlags::open() const {
  if (options().mode == GroundingMode::kOff) return nullptr;
  if (!graph_.empty()) return open_graph(graph_);
  if (!fs::exists(default_graph())) return nullptr;
  try {
    return open_graph(default_graph());
  } catch (const Error& error) {
    fmt::print(stderr,
               "shenhong: {}\nshenhong: going on without a graph; --graph {} insists on it\n",
               error.what(), default_graph().string());
    return nullptr;
  }
}

}  // namespace shenhong
