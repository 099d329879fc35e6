// A graph with what is read of it at start: the store, who its names mean, what its relations are
// called.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "knowledge/linker.h"
#include "knowledge/look_up.h"
#include "knowledge/relations.h"
#include "knowledge/remote.h"
#include "knowledge/store.h"

namespace shenhong {

struct Graph {
  // With `endpoint`, which wants a store open for writing, silence is answered by an endpoint
  // (knowledge/remote.h).
  explicit Graph(Store&& opened, std::optional<SparqlEndpoint> endpoint = {})
      : store(std::move(opened)),
        linker(store),
        relations(store),
        remote(endpoint ? std::make_unique<RemoteFacts>(store, std::move(*endpoint)) : nullptr),
        look_up(store, relations, remote.get()) {}
  Graph(const Graph&) = delete;

  Store store;
  Linker linker;
  Relations relations;
  std::unique_ptr<RemoteFacts> remote;  // null: none is attached
  LookUp look_up;
};

}  // namespace shenhong
