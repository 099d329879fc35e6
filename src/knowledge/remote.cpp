#include "knowledge/remote.h"

#include <algorithm>

#include "core/error.h"
#include "knowledge/vocabulary.h"

namespace shenhong {
namespace {

constexpr std::chrono::seconds kRest{30};
constexpr std::chrono::seconds kPerAnswer{10};  // for all that one answer asks
constexpr size_t kLabelsAtOnce = 50;
constexpr size_t kMaxRemembered = 100000;  // keys; then all are forgotten
constexpr double kTrust = 0.5;             // of a source that nobody described

}  // namespace

void RemoteFacts::begin_answer() {
  status_ = RemoteStatus::kOk;
  fault_.clear();
  answer_until_ = Clock::now() + kPerAnswer;
}

// False while the endpoint is left alone, or the answer has no time left; the failure is then said
// again.
bool RemoteFacts::may_ask() {
  if (Clock::now() < quiet_until_) {
    status_ = last_failure_;
    fault_ = last_fault_;
    return false;
  }
  if (Clock::now() >= answer_until_) {
    status_ = RemoteStatus::kTimeout;
    fault_ = fmt::format("{}: takes too long for one answer", endpoint_.config().url);
    return false;
  }
  return true;
}

// False when nothing can be used.
bool RemoteFacts::note(const RemoteAnswer& answer) {
  if (answer.status == RemoteStatus::kOk) return true;
  status_ = answer.status;
  fault_ = answer.fault;
  if (answer.status == RemoteStatus::kTimeout || answer.status == RemoteStatus::kUnreachable) {
    last_failure_ = status_;
    last_fault_ = fault_;
    quiet_until_ = Clock::now() + kRest;
  }
  return answer.status == RemoteStatus::kTruncated;
}

void RemoteFacts::keep(const Facts& facts) {
  if (facts.empty()) return;
  const std::string& url = endpoint_.config().url;
  Store::Batch batch = store_.begin("fetch", url, "");
  Provenance provenance;
  provenance.source = url;
  for (const auto& [subject, predicate, object] : facts)
    batch.add(subject, predicate, object, provenance);
  batch.finish();
  // What is said of the source by hand stays.
  if (!store_.describes_source(url)) store_.describe_source({url, url, "", kTrust});
}

bool RemoteFacts::fetch(TermId entity, Direction direction) {
  const Term term = store_.term(entity), predicate = store_.term(direction.relation);
  if (term.kind == Term::Kind::kBlank || predicate.kind != Term::Kind::kIri ||
      (term.is_literal() && !direction.inverse))
    return false;
  const std::string key =
      fmt::format("{} {} {}", term_text(term), term_text(predicate), direction.inverse);
  if (answered_.contains(key) || !may_ask()) return false;
  const RemoteAnswer answer =
      direction.inverse ? endpoint_.subjects(term, predicate) : endpoint_.objects(term, predicate);
  if (!note(answer)) return false;

  Facts facts;
  std::vector<Term> entities;
  for (const auto& row : answer.rows) {
    const Term& other = row[0];
    if (direction.inverse && other.kind != Term::Kind::kIri) continue;
    if (direction.inverse)
      facts.push_back({other, predicate, term});
    else
      facts.push_back({term, predicate, other});
    if (!other.is_literal() && entities.size() < kLabelsAtOnce) entities.push_back(other);
  }
  if (!entities.empty() && may_ask()) {
    const RemoteAnswer labels = endpoint_.labels(entities);
    // Without their names the entities cannot be said: the key is asked for again another time.
    if (!note(labels)) return false;
    for (const auto& row : labels.rows)
      if (row[1].is_literal() && std::ranges::find(entities, row[0]) != entities.end())
        facts.push_back({row[0], Term::iri(std::string(iri::kLabel)), row[1]});
  }
  keep(facts);
  if (answered_.size() >= kMaxRemembered) answered_.clear();
  answered_.insert(key);
  return !facts.empty();
}

std::vector<TermId> RemoteFacts::bearers(std::string_view name) {
  if (name.empty()) return {};
  if (const auto known = named_.find(name); known != named_.end()) return known->second;
  if (!may_ask()) return {};
  const RemoteAnswer answer = endpoint_.bearers(name);
  if (!note(answer)) return {};
  Facts facts;
  for (const auto& row : answer.rows) {
    const bool names = std::ranges::find(iri::kNames, row[1].value) != iri::kNames.end();
    if (row[0].kind == Term::Kind::kIri && row[1].kind == Term::Kind::kIri && names &&
        row[2].is_literal() && folded(row[2].value) == folded(name))
      facts.push_back({row[0], row[1], row[2]});
  }
  keep(facts);
  std::set<TermId> entities;
  for (const auto& fact : facts) entities.insert(store_.find(fact[0]));
  if (named_.size() >= kMaxRemembered) named_.clear();
  return named_[std::string(name)] = {entities.begin(), entities.end()};
}

}  // namespace shenhong
