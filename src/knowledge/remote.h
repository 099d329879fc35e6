// The facts of an attached endpoint, brought into the graph when a look-up finds nothing there:
// kept like any other fact, with the endpoint as their source, in a batch each, so that roll-back,
// retraction and citation cover them.
#pragma once

#include <array>
#include <chrono>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knowledge/relations.h"
#include "knowledge/sparql.h"
#include "knowledge/store.h"

namespace shenhong {

class RemoteFacts {
 public:
  // The store must be open for writing.
  RemoteFacts(Store& store, SparqlEndpoint endpoint)
      : store_(store), endpoint_(std::move(endpoint)) {}

  // Brings what the endpoint says of this key, and the labels of what it names; true when there is
  // something new. A key is asked for once. After a failure nothing is asked for half a minute.
  bool fetch(TermId entity, Direction direction);
  // The entities that bear this name there; their names come into the graph.
  std::vector<TermId> bearers(std::string_view name);

  // How the last question went; what it was that failed.
  RemoteStatus status() const { return status_; }
  const std::string& fault() const { return fault_; }

 private:
  bool take_rest();
  bool note(const RemoteAnswer& answer);
  void keep(const std::vector<std::array<Term, 3>>& facts);

  Store& store_;
  SparqlEndpoint endpoint_;
  RemoteStatus status_ = RemoteStatus::kOk;
  std::string fault_;
  std::set<std::string> asked_;
  std::chrono::steady_clock::time_point quiet_until_ = {};
};

}  // namespace shenhong
