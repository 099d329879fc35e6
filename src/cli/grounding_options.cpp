#include "cli/grounding_options.h"

#include <cstdlib>

#include "core/error.h"
#include "knowledge/attached.h"

namespace shenhong {

fs::path default_graph() {
  const char* set = std::getenv("SHENHONG_GRAPH");
  return set && *set ? set : "data/graph.kg";
}

std::unique_ptr<Graph> open_graph(const fs::path& path) {
  const auto config = attached_endpoint(path);
  Store store = Store::open(path, config ? Access::kAppend : Access::kRead);
  std::optional<SparqlEndpoint> endpoint;
  if (config) endpoint.emplace(*config);
  return std::make_unique<Graph>(std::move(store), std::move(endpoint));
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

std::unique_ptr<Graph> GroundingFlags::open(const Engine& engine) const {
  const GroundingMode mode = options().mode;
  if (mode == GroundingMode::kOff) return nullptr;
  const bool insists =
      !graph_.empty() || mode == GroundingMode::kAlways || mode == GroundingMode::kStrict;
  const fs::path path = graph_.empty() ? default_graph() : fs::path(graph_);
  if (!insists && !fs::exists(path)) return nullptr;
  try {
    SH_CHECK(fs::exists(path), kBadInput, "{}: no such graph; make one with `shenhong kg init`",
             path.string());
    SH_CHECK(
        engine.can_look_up(), kUsage,
        "{}: this model has no look-up tokens, so it cannot use {}; answer with --grounding off",
        engine.name(), path.string());
    auto graph = open_graph(path);
    graph->store.check();
    return graph;
  } catch (const Error& error) {
    if (insists) throw;
    fmt::print(stderr,
               "shenhong: {}\nshenhong: going on without a graph; --graph {} insists on it\n",
               error.what(), path.string());
    return nullptr;
  }
}

}  // namespace shenhong
