// --graph, --grounding, --as-of, --max-facts: which facts an answer may look up, and when.
#pragma once

#include <CLI/CLI.hpp>

#include <memory>
#include <string>

#include "grounding/look_up_guide.h"

namespace shenhong {

// The graph that is meant when none is named: SHENHONG_GRAPH, else data/graph.kg.
fs::path default_graph();

// The graph, and its endpoint if one is attached; what that says is kept, so the file must then be
// writable.
std::unique_ptr<Graph> open_graph(const fs::path& path);

class GroundingFlags {
 public:
  void add_to(CLI::App& verb);

  // Null with mode off. A graph that was named, or that the modes always and strict need, must be
  // there, sound and of use to this model: Error otherwise. The usual one is warned of and left
  // out.
  std::unique_ptr<Graph> open(const Engine& engine) const;
  // Error(kUsage) names a mode that there is not.
  GroundingOptions options() const;

 private:
  std::string graph_, mode_ = "auto", as_of_;
  int max_facts_ = 8;
};

}  // namespace shenhong
