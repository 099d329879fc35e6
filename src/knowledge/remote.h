// The facts of an attached endpoint, brought into the graph when a look-up finds nothing there:
// kept like any other fact, with the endpoint as their source, in a batch each, so that roll-back,
// retraction and citation cover them.
#pragma once

#include <array>
#include <chrono>
#include <map>
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
  // The store must be open for writing; Access::kAppend will do.
  RemoteFacts(Store& store, SparqlEndpoint endpoint)
      : store_(store), endpoint_(std::move(endpoint)) {}

  // Before the look-ups of one answer: nothing has been asked, so nothing has failed, and there is
  // time for them.
  void begin_answer();

  // Brings what the endpoint says of this key, and the labels of what it names; true when there is
  // something new. A key that was answered is not asked for again. After a time-out or an endpoint
  // that cannot be reached nothing is asked for half a minute.
  bool fetch(TermId entity, Direction direction);
  // The entities that bear this name there; their names come into the graph.
  std::vector<TermId> bearers(std::string_view name);

  // The last failure since begin_answer(); ok when there was none.
  RemoteStatus status() const { return status_; }
  const std::string& fault() const { return fault_; }

 private:
  using Clock = std::chrono::steady_clock;
  using Facts = std::vector<std::array<Term, 3>>;
  bool may_ask();
  bool note(const RemoteAnswer& answer);
  void keep(const Facts& facts);

  Store& store_;
  SparqlEndpoint endpoint_;
  RemoteStatus status_ = RemoteStatus::kOk, last_failure_ = RemoteStatus::kOk;
  std::string fault_, last_fault_;
  std::set<std::string> answered_;
  std::map<std::string, std::vector<TermId>, std::less<>> named_;
  Clock::time_point quiet_until_ = {}, answer_until_ = Clock::time_point::max();
};

}  // namespace shenhong
