// Everything together: a model directory, the API and the page behind one address.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/file.h"
#include "serve/http.h"
#include "serve/openai_service.h"

namespace shenhong {

struct ServeOptions {
  fs::path model;
  EngineOptions engine;
  // What answers of this model may look up; an empty function, or null: nothing.
  std::function<std::unique_ptr<Graph>(const Engine& engine)> open_graph;
  GroundingOptions grounding;
  HttpOptions http;
  ServiceOptions service;
};

// Returns after SIGINT or SIGTERM, when running answers are finished. `on_ready` gets the address
// of the page and what answers. Error(kUsage) when the address is taken, Error(kBadInput) for a
// broken model.
void serve(const ServeOptions& options,
           const std::function<void(const std::string& url, const Engine& engine)>& on_ready);

}  // namespace shenhong
