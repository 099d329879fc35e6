#include "knowledge/remote.h"

#include <array>

#include "core/error.h"
#include "knowledge/vocabulary.h"

namespace shenhong {
namespace {

constexpr std::chrono::seconds kRest{30};
constexpr size_t kLabelsAtOnce = 50;

}  // namespace

// Whether the endpoint is to be left alone; its last failure then still holds.
bool RemoteFacts::take_rest() { return std::chrono::steady_clock::now() < quiet_until_; }

// False when nothing can be used.
bool RemoteFacts::note(const RemoteAnswer& answer) {
  status_ = answer.status;
  fault_ = answer.fault;
  const bool usable =
      answer.status == RemoteStatus::kOk || answer.status == RemoteStatus::kTruncated;
  if (!usable) quiet_until_ = std::chrono::steady_clock::now() + kRest;
  return usable;
}

void RemoteFacts::keep(const std::vector<std::array<Term, 3>>& facts) {
  if (facts.empty()) return;
  Store::Batch batch = store_.begin("fetch", endpoint_.config().url, "");
  Provenance provenance;
  provenance.source = endpoint_.config().url;
  for (const auto& [subject, predicate, object] : facts)
    batch.add(subject, predicate, object, provenance);
  batch.finish();
  store_.describe_source({endpoint_.config().url, endpoint_.config().url, "", 1});
}

bool RemoteFacts::fetch(TermId entity, Direction direction) {
  const Term term = store_.term(entity), predicate = store_.term(direction.relation);
  if (term.kind == Term::Kind::kBlank || predicate.kind != Term::Kind::kIri ||
      (term.is_literal() && !direction.inverse))
    return false;
  if (take_rest()) return false;
  if (!asked_
           .insert(
               fmt::format("{} {} {}", term_text(term), term_text(predicate), direction.inverse))
           .second)
    return false;
  const RemoteAnswer answer =
      direction.inverse ? endpoint_.subjects(term, predicate) : endpoint_.objects(term, predicate);
  if (!note(answer) || answer.rows.empty()) return false;

  std::vector<std::array<Term, 3>> facts;
  std::vector<Term> entities;
  for (const auto& row : answer.rows) {
    if (direction.inverse)
      facts.push_back({row[0], predicate, term});
    else
      facts.push_back({term, predicate, row[0]});
    if (!row[0].is_literal() && entities.size() < kLabelsAtOnce) entities.push_back(row[0]);
  }
  if (!entities.empty()) {
    const RemoteStatus status = status_;
    const RemoteAnswer labels = endpoint_.labels(entities);
    if (note(labels))
      for (const auto& row : labels.rows)
        facts.push_back({row[0], Term::iri(std::string(iri::kLabel)), row[1]});
    if (status_ == RemoteStatus::kOk) status_ = status;
  }
  keep(facts);
  return true;
}

std::vector<TermId> RemoteFacts::bearers(std::string_view name) {
  if (take_rest() || name.empty()) return {};
  if (!asked_.insert(fmt::format("name {}", name)).second) return {};
  const RemoteAnswer answer = endpoint_.bearers(name);
  if (!note(answer)) return {};
  std::vector<std::array<Term, 3>> facts;
  for (const auto& row : answer.rows)
    if (row[0].kind == Term::Kind::kIri && row[1].kind == Term::Kind::kIri)
      facts.push_back({row[0], row[1], row[2]});
  keep(facts);
  std::set<TermId> entities;
  for (const auto& fact : facts) entities.insert(store_.find(fact[0]));
  return {entities.begin(), entities.end()};
}

}  // namespace shenhong
