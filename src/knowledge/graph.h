// A graph with what is read of it at start: the store, who its names mean, what its relations are called.
#pragma once

#include <utility>

#include "knowledge/linker.h"
#include "knowledge/look_up.h"
#include "knowledge/relations.h"
#include "knowledge/store.h"

namespace shenhong {

struct Graph {
  explicit Graph(Store&& opened) : store(std::move(opened)), linker(store), relations(store), look_up(store, relations) {}
  Graph(const Graph&) = delete;

  Store store;
  Linker linker;
  Relations relations;
  LookUp look_up;
};

}  // namespace shenhong
