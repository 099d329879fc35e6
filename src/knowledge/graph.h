// A graph with what is read of it at start: the store, who its names mean, what its relations are
// called; and, when they are wanted for the first time, which of these go together.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "knowledge/characteristic_sets.h"
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

  // As of when they were first asked for; null when the graph has changed since, or an endpoint
  // knows more than is here: then anything may be asked of anything.
  const CharacteristicSets* characteristic_sets() {
    if (remote) return nullptr;
    const int64_t version = store.version();
    if (!sets_) {
      sets_.emplace(store, relations);
      sets_version_ = version;
    }
    return version == sets_version_ ? &*sets_ : nullptr;
  }

  Store store;
  Linker linker;
  Relations relations;
  std::unique_ptr<RemoteFacts> remote;  // null: none is attached
  LookUp look_up;

  std::mutex mutex;  // whoever uses the above beside others holds it

 private:
  std::optional<CharacteristicSets> sets_;
  int64_t sets_version_ = 0;
};

}  // namespace shenhong
