// The knowledge graph: one SQLite file of facts (subject, predicate, object) with where each came
// from, how sure it is and when it holds. Look-ups are by exact key; nothing is ever guessed.
//
// What changes the graph is a batch: an import, an addition, a retraction. A batch that did not end
// is undone when the file is next opened for writing; a batch that did end is undone by roll_back.
// A retracted fact stays in the file as a tombstone, and importing it again does not bring it back.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "knowledge/database.h"
#include "knowledge/term.h"

namespace shenhong {

using TermId = int64_t;  // from 1; 0: no such term

struct Fact {
  int64_t id = 0;
  TermId subject = 0, predicate = 0, object = 0;
  int64_t source = 0;
  double confidence = 1;
  std::string valid_from, valid_to;  // dates, years or empty: always
  int64_t batch = 0;
};

// What an import says of a fact beside its three terms.
struct Provenance {
  std::string source;
  double confidence = 1;
  std::string valid_from, valid_to;
};

struct Source {
  std::string name, url, licence;
  double trust = 1;
};

struct BatchInfo {
  int64_t id = 0;
  std::string kind, file, hash, time;  // kind: import, add, retract, fetch
  int64_t facts = 0, rejected = 0;
  bool rolled_back = false;
};

class Store {
 public:
  static Store create(const fs::path& path) { return Store(path, Access::kCreate); }
  static Store open(const fs::path& path, Access access = Access::kRead) {
    return Store(path, access);
  }

  ~Store();
  Store(Store&&) noexcept;

  const fs::path& path() const { return database_.path(); }
  // A file of its own with all that is in this one; Error when `path` exists.
  void copy_to(const fs::path& path);
  // Error(kBadInput) when the file is damaged. Reads all of it: some 100 MiB a second.
  void check();
  int64_t version();  // grows with every batch and roll-back; answers carry it

  // ---- look-up, live facts only
  TermId find(const Term& term);
  Term term(TermId id);
  std::vector<Fact> facts(TermId subject, TermId predicate);    // SP -> O
  std::vector<Fact> facts_to(TermId object, TermId predicate);  // OP -> S
  std::vector<Fact> facts_about(TermId subject, int64_t limit = 1000);
  std::vector<Fact> facts_with_object(TermId object);
  std::optional<Fact> fact(int64_t id);
  Source source(int64_t id);
  // One pass over the file, for indices that are built at start: one relation's, ordered by id; or
  // all, in no order.
  void for_each_fact_of(TermId predicate,
                        const std::function<void(TermId subject, TermId object)>& visit);
  void for_each_fact(
      const std::function<void(TermId subject, TermId predicate, TermId object)>& visit);
  void for_each_degree(const std::function<void(TermId subject, int64_t facts)>& visit);

  // ---- change
  class Batch;
  Batch begin(std::string_view kind, std::string_view file, std::string_view hash);
  // Sets what is known of a source by its name.
  void describe_source(const Source& source);
  bool describes_source(std::string_view name);  // whether it has an address
  // Undoes a batch: its facts go, what it retracted comes back. Error(kUsage) when there is none,
  // or it is undone already. Returns the facts it touched.
  int64_t roll_back(int64_t batch);

  // ---- overview
  std::vector<BatchInfo> batches();
  Json statistics();
  // Every live fact as it is exported: terms' texts, source, confidence, validity, ordered by
  // these.
  struct Row {
    std::string_view subject, predicate, object, source, valid_from, valid_to;
    double confidence;
  };
  void for_each_row(const std::function<void(const Row&)>& visit);

 private:
  Store(const fs::path& path, Access access);
  Fact read_fact(const Query& query) const;
  std::vector<Fact> read_facts(Query& query) const;
  void undo(int64_t batch, std::string_view state);

  Database database_;
  struct Lookups;
  std::unique_ptr<Lookups> lookups_;
};

// {"fact_id", "s", "p", "o": terms' texts, "source", "url", "confidence", "valid_from", "valid_to",
// "batch"}
Json fact_to_json(Store& store, const Fact& fact);

// An open batch. Facts reach the file in pieces of some hundred thousand, so memory stays bounded;
// without finish() none of them stays.
class Store::Batch {
 public:
  Batch(Batch&&) noexcept;
  ~Batch();

  enum class Outcome { kAdded, kKnown, kRetractedBefore };
  Outcome add(const Term& subject, const Term& predicate, const Term& object,
              const Provenance& provenance);
  // Brings back, under this batch, what was retracted before; otherwise as add.
  Outcome restore(const Term& subject, const Term& predicate, const Term& object,
                  const Provenance& provenance);
  bool retract(int64_t fact);  // false: no such live fact

  int64_t id() const;
  void finish(int64_t rejected = 0);

 private:
  friend class Store;
  Batch(Store& store, std::string_view kind, std::string_view file, std::string_view hash);
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace shenhong
