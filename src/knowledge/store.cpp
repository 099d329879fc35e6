#include "knowledge/store.h"

#include <chrono>
#include <ctime>
#include <unordered_map>

#include "core/error.h"

namespace shenhong {
namespace {

constexpr int64_t kApplicationId = 0x53484B47;  // SHKG
constexpr int64_t kSchemaVersion = 1;
constexpr int64_t kFactsPerTransaction = 200'000;
constexpr size_t kCachedTerms = 2'000'000;

constexpr const char* kSchema = R"sql(
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('version', 0);
CREATE TABLE term (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE source (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, url TEXT NOT NULL DEFAULT '',
                     licence TEXT NOT NULL DEFAULT '', trust REAL NOT NULL DEFAULT 1);
CREATE TABLE batch (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, file TEXT NOT NULL, hash TEXT NOT NULL, time TEXT NOT NULL,
                    facts INTEGER NOT NULL DEFAULT 0, rejected INTEGER NOT NULL DEFAULT 0,
                    state TEXT NOT NULL DEFAULT 'open');
CREATE TABLE fact (id INTEGER PRIMARY KEY, s INTEGER NOT NULL, p INTEGER NOT NULL, o INTEGER NOT NULL,
                   source INTEGER NOT NULL, confidence REAL NOT NULL, valid_from TEXT NOT NULL, valid_to TEXT NOT NULL,
                   batch INTEGER NOT NULL, retracted INTEGER);
CREATE UNIQUE INDEX fact_spo ON fact (s, p, o, source);
CREATE INDEX fact_op ON fact (o, p);
CREATE TABLE ledger (fact INTEGER NOT NULL, model TEXT NOT NULL, refit TEXT NOT NULL, probe TEXT NOT NULL,
                     PRIMARY KEY (fact, model)) WITHOUT ROWID;
)sql";

// What Store::read_fact expects.
#define FACT_COLUMNS "id, s, p, o, source, confidence, valid_from, valid_to, batch"

std::string utc_now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace

struct Store::Lookups {
  explicit Lookups(const Database& db)
      : find_term(db, "SELECT id FROM term WHERE text = ?"),
        term(db, "SELECT text FROM term WHERE id = ?"),
        by_sp(db, "SELECT " FACT_COLUMNS
                  " FROM fact WHERE s = ? AND p = ? AND retracted IS NULL ORDER BY id"),
        by_op(db, "SELECT " FACT_COLUMNS
                  " FROM fact WHERE o = ? AND p = ? AND retracted IS NULL ORDER BY id"),
        by_s(db, "SELECT " FACT_COLUMNS
                 " FROM fact WHERE s = ? AND retracted IS NULL ORDER BY id LIMIT ?"),
        by_id(db, "SELECT " FACT_COLUMNS " FROM fact WHERE id = ? AND retracted IS NULL"),
        source(db, "SELECT name, url, licence, trust FROM source WHERE id = ?") {}
  Query find_term, term, by_sp, by_op, by_s, by_id, source;
};

Store::Store(const fs::path& path, Access access) : database_(path, access) {
  if (access == Access::kCreate) {
    database_.run("PRAGMA page_size = 8192");
    Transaction transaction(database_);
    database_.run(kSchema);
    database_.run(fmt::format("PRAGMA application_id = {}", kApplicationId).c_str());
    database_.run(fmt::format("PRAGMA user_version = {}", kSchemaVersion).c_str());
    transaction.commit();
  }
  SH_CHECK(database_.number("PRAGMA application_id") == kApplicationId, kBadInput,
           "{}: is an SQLite file, but no graph of this program", path.string());
  const int64_t schema = database_.number("PRAGMA user_version");
  SH_CHECK(schema == kSchemaVersion, kBadInput,
           "{}: has layout {}, this program reads {}; export it with the version that made it",
           path.string(), schema, kSchemaVersion);
  lookups_ = std::make_unique<Lookups>(database_);
  if (access != Access::kWrite) return;
  std::vector<int64_t> unfinished;
  {
    Query open(database_, "SELECT id FROM batch WHERE state = 'open'");
    while (open.step()) unfinished.push_back(open.integer(0));
  }
  for (const int64_t batch : unfinished) undo(batch, "open");
}

Store::~Store() = default;
Store::Store(Store&&) noexcept = default;

void Store::copy_to(const fs::path& path) {
  SH_CHECK(!fs::exists(path), kUsage, "{}: exists already", path.string());
  Query copy(database_, "VACUUM INTO ?");
  const std::string target = path.string();
  copy.bind(1, target).run();
}

void Store::check() {
  Query check(database_, "PRAGMA quick_check(1)");
  const bool sound = check.step() && check.text(0) == "ok";
  SH_CHECK(
      sound, kBadInput,
      "{}: is damaged ({}); restore it, or export what can be read and import that into a new one",
      path().string(), check.text(0));
}

int64_t Store::version() {
  return database_.number("SELECT value FROM meta WHERE key = 'version'");
}

TermId Store::find(const Term& term) {
  const std::string text = term_text(term);
  Query& query = lookups_->find_term.bind(1, text);
  if (!query.step()) return 0;
  const TermId id = query.integer(0);
  query.reset();
  return id;
}

Term Store::term(TermId id) {
  Query& query = lookups_->term.bind(1, id);
  SH_CHECK(query.step(), kBadInput, "{}: is damaged: a fact names term {}, which is not there",
           path().string(), id);
  Term term = term_of_text(query.text(0));
  query.reset();
  return term;
}

Fact Store::read_fact(const Query& query) const {
  Fact fact;
  fact.id = query.integer(0);
  fact.subject = query.integer(1);
  fact.predicate = query.integer(2);
  fact.object = query.integer(3);
  fact.source = query.integer(4);
  fact.confidence = query.real(5);
  fact.valid_from = query.text(6);
  fact.valid_to = query.text(7);
  fact.batch = query.integer(8);
  return fact;
}

std::vector<Fact> Store::read_facts(Query& query) const {
  std::vector<Fact> facts;
  while (query.step()) facts.push_back(read_fact(query));
  return facts;
}

std::vector<Fact> Store::facts(TermId subject, TermId predicate) {
  return read_facts(lookups_->by_sp.bind(1, subject).bind(2, predicate));
}

std::vector<Fact> Store::facts_to(TermId object, TermId predicate) {
  return read_facts(lookups_->by_op.bind(1, object).bind(2, predicate));
}

std::vector<Fact> Store::facts_about(TermId subject, int64_t limit) {
  return read_facts(lookups_->by_s.bind(1, subject).bind(2, limit));
}

std::vector<Fact> Store::facts_with_object(TermId object) {
  Query query(database_,
              "SELECT " FACT_COLUMNS " FROM fact WHERE o = ? AND retracted IS NULL ORDER BY id");
  return read_facts(query.bind(1, object));
}

std::optional<Fact> Store::fact(int64_t id) {
  const std::vector<Fact> found = read_facts(lookups_->by_id.bind(1, id));
  return found.empty() ? std::nullopt : std::optional(found[0]);
}

bool Store::describes_source(std::string_view name) {
  Query query(database_, "SELECT 1 FROM source WHERE name = ? AND url <> ''");
  query.bind(1, name);
  return query.step();
}

Source Store::source(int64_t id) {
  Query& query = lookups_->source.bind(1, id);
  SH_CHECK(query.step(), kBadInput, "{}: is damaged: a fact names source {}, which is not there",
           path().string(), id);
  Source source{std::string(query.text(0)), std::string(query.text(1)), std::string(query.text(2)),
                query.real(3)};
  query.reset();
  return source;
}

Json fact_to_json(Store& store, const Fact& fact) {
  const Source source = store.source(fact.source);
  return {{"fact_id", fact.id},
          {"s", term_text(store.term(fact.subject))},
          {"p", term_text(store.term(fact.predicate))},
          {"o", term_text(store.term(fact.object))},
          {"source", source.name},
          {"url", source.url},
          {"confidence", fact.confidence},
          {"valid_from", fact.valid_from},
          {"valid_to", fact.valid_to},
          {"batch", fact.batch}};
}

void Store::for_each_fact_of(TermId predicate, const std::function<void(TermId, TermId)>& visit) {
  Query query(database_, "SELECT s, o FROM fact WHERE p = ? AND retracted IS NULL ORDER BY id");
  query.bind(1, predicate);
  while (query.step()) visit(query.integer(0), query.integer(1));
}

void Store::for_each_fact(const std::function<void(TermId, TermId, TermId)>& visit) {
  Query query(database_, "SELECT s, p, o FROM fact WHERE retracted IS NULL");
  while (query.step()) visit(query.integer(0), query.integer(1), query.integer(2));
}

void Store::for_each_degree(const std::function<void(TermId, int64_t)>& visit) {
  Query query(database_, "SELECT s, count(*) FROM fact WHERE retracted IS NULL GROUP BY s");
  while (query.step()) visit(query.integer(0), query.integer(1));
}

void Store::describe_source(const Source& source) {
  Query(database_,
        "INSERT INTO source (name, url, licence, trust) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET url = excluded.url, licence = excluded.licence, trust = "
        "excluded.trust")
      .bind(1, source.name)
      .bind(2, source.url)
      .bind(3, source.licence)
      .bind(4, source.trust)
      .run();
}

// Nothing happens to a batch that is in another state by the time that nobody else writes.
void Store::undo(int64_t batch, std::string_view state) {
  Transaction transaction(database_);
  {
    Query still(database_, "SELECT 1 FROM batch WHERE id = ? AND state = ?");
    still.bind(1, batch).bind(2, state);
    if (!still.step()) return;
  }
  Query(database_, "DELETE FROM fact WHERE batch = ?").bind(1, batch).run();
  Query(database_, "UPDATE fact SET retracted = NULL WHERE retracted = ?").bind(1, batch).run();
  Query(database_, "UPDATE batch SET state = 'undone' WHERE id = ?").bind(1, batch).run();
  database_.run("UPDATE meta SET value = value + 1 WHERE key = 'version'");
  transaction.commit();
}

int64_t Store::roll_back(int64_t batch) {
  Query find(database_, "SELECT state FROM batch WHERE id = ?");
  find.bind(1, batch);
  SH_CHECK(find.step(), kUsage, "{}: has no batch {}; `shenhong kg batches` lists them",
           path().string(), batch);
  SH_CHECK(find.text(0) != "undone", kUsage, "{}: batch {} is rolled back already", path().string(),
           batch);
  find.reset();
  Query count(database_, "SELECT count(*) FROM fact WHERE batch = ?1 OR retracted = ?1");
  count.bind(1, batch);
  SH_ASSERT(count.step());
  const int64_t touched = count.integer(0);
  count.reset();
  undo(batch, "done");
  return touched;
}

std::vector<BatchInfo> Store::batches() {
  std::vector<BatchInfo> list;
  Query query(database_,
              "SELECT id, kind, file, hash, time, facts, rejected, state FROM batch ORDER BY id");
  while (query.step()) {
    list.push_back({query.integer(0), std::string(query.text(1)), std::string(query.text(2)),
                    std::string(query.text(3)), std::string(query.text(4)), query.integer(5),
                    query.integer(6), query.text(7) == "undone"});
  }
  return list;
}

Json Store::statistics() {
  Json out = {{"path", path().string()}, {"version", version()}};
  out["facts"] = database_.number("SELECT count(*) FROM fact WHERE retracted IS NULL");
  out["retracted"] = database_.number("SELECT count(*) FROM fact WHERE retracted IS NOT NULL");
  out["subjects"] = database_.number("SELECT count(DISTINCT s) FROM fact WHERE retracted IS NULL");
  out["terms"] = database_.number("SELECT count(*) FROM term");
  out["bytes"] = int64_t(fs::file_size(path()));
  Json& predicates = out["predicates"] = Json::object();
  Query by_predicate(
      database_,
      "SELECT term.text, count(*) FROM fact JOIN term ON term.id = fact.p WHERE retracted IS NULL "
      "GROUP BY p ORDER BY count(*) DESC, term.text");
  while (by_predicate.step())
    predicates[std::string(by_predicate.text(0))] = by_predicate.integer(1);
  Json& sources = out["sources"] = Json::object();
  Query by_source(database_,
                  "SELECT source.name, count(*) FROM fact JOIN source ON source.id = fact.source "
                  "WHERE retracted IS NULL "
                  "GROUP BY source ORDER BY count(*) DESC, source.name");
  while (by_source.step()) sources[std::string(by_source.text(0))] = by_source.integer(1);
  return out;
}

void Store::for_each_row(const std::function<void(const Row&)>& visit) {
  Query query(
      database_,
      "SELECT s.text, p.text, o.text, source.name, valid_from, valid_to, confidence FROM fact "
      "JOIN term s ON s.id = fact.s JOIN term p ON p.id = fact.p JOIN term o ON o.id = fact.o "
      "JOIN source ON source.id = fact.source WHERE retracted IS NULL ORDER BY 1, 2, 3, 4");
  while (query.step())
    visit({query.text(0), query.text(1), query.text(2), query.text(3), query.text(4), query.text(5),
           query.real(6)});
}

struct Store::Batch::State {
  State(Store& owner)
      : store(owner),
        find_term(owner.database_, "SELECT id FROM term WHERE text = ?"),
        add_term(owner.database_, "INSERT INTO term (id, text) VALUES (?, ?)"),
        find_source(owner.database_, "SELECT id FROM source WHERE name = ?"),
        add_source(owner.database_, "INSERT INTO source (name) VALUES (?)"),
        add_fact(
            owner.database_,
            "INSERT OR IGNORE INTO fact (s, p, o, source, confidence, valid_from, valid_to, batch) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"),
        is_retracted(owner.database_,
                     "SELECT id FROM fact WHERE s = ? AND p = ? AND o = ? AND retracted IS NOT "
                     "NULL LIMIT 1"),
        drop(owner.database_,
             "DELETE FROM fact WHERE s = ? AND p = ? AND o = ? AND retracted IS NOT NULL"),
        retract(owner.database_,
                "UPDATE fact SET retracted = ? WHERE id = ? AND retracted IS NULL") {}

  Store& store;
  Query find_term, add_term, find_source, add_source, add_fact, is_retracted, drop, retract;
  std::unordered_map<std::string, int64_t> terms, sources;
  int64_t id = 0, next_term = 0, facts = 0, pending = 0;
  bool terms_before = false, retracted_before = false;
  std::optional<Transaction> transaction;

  int64_t term_id(const Term& term);
  int64_t source_id(const std::string& name);
  void next_piece() {
    transaction->commit();
    transaction.emplace(store.database_);
    pending = 0;
  }
};

int64_t Store::Batch::State::term_id(const Term& term) {
  std::string text = term_text(term);
  const auto known = terms.find(text);
  if (known != terms.end()) return known->second;
  int64_t found = 0;
  if (terms_before) {
    find_term.bind(1, text);
    if (find_term.step()) {
      found = find_term.integer(0);
      find_term.reset();
    }
  }
  if (found == 0) {
    found = ++next_term;
    add_term.bind(1, found).bind(2, text).run();
  }
  if (terms.size() >= kCachedTerms) {
    terms.clear();
    terms_before = true;
  }
  terms.emplace(std::move(text), found);
  return found;
}

int64_t Store::Batch::State::source_id(const std::string& name) {
  int64_t& id_of_name = sources[name];
  if (id_of_name != 0) return id_of_name;
  find_source.bind(1, name);
  if (!find_source.step()) {
    add_source.bind(1, name).run();
    find_source.bind(1, name);
    SH_ASSERT(find_source.step());
  }
  id_of_name = find_source.integer(0);
  find_source.reset();
  return id_of_name;
}

Store::Batch::Batch(Store& store, std::string_view kind, std::string_view file,
                    std::string_view hash) {
  Database& database = store.database_;
  {
    Transaction transaction(database);
    const std::string time = utc_now();
    Query(database, "INSERT INTO batch (kind, file, hash, time) VALUES (?, ?, ?, ?)")
        .bind(1, kind)
        .bind(2, file)
        .bind(3, hash)
        .bind(4, time)
        .run();
    transaction.commit();
  }
  state_ = std::make_unique<State>(store);
  state_->id = database.number("SELECT max(id) FROM batch");
  state_->next_term = database.number("SELECT coalesce(max(id), 0) FROM term");
  state_->terms_before = state_->next_term > 0;
  state_->retracted_before =
      kind == "fetch" ||
      database.number("SELECT EXISTS (SELECT 1 FROM fact WHERE retracted IS NOT NULL)");
  state_->transaction.emplace(database);
}

Store::Batch::Batch(Batch&&) noexcept = default;

// Without finish(), what earlier pieces committed is taken back here; if even that fails (the disk
// is gone), the next opening for writing does it.
Store::Batch::~Batch() {
  if (!state_) return;
  try {
    state_->transaction.reset();
    state_->store.undo(state_->id, "open");
  } catch (const std::exception&) {
  }
}

int64_t Store::Batch::id() const { return state_->id; }

Store::Batch::Outcome Store::Batch::add(const Term& subject, const Term& predicate,
                                        const Term& object, const Provenance& provenance) {
  State& state = *state_;
  const int64_t s = state.term_id(subject), p = state.term_id(predicate), o = state.term_id(object);
  if (state.retracted_before) {
    state.is_retracted.bind(1, s).bind(2, p).bind(3, o);
    if (state.is_retracted.step()) {
      state.is_retracted.reset();
      return Outcome::kRetractedBefore;
    }
  }
  state.add_fact.bind(1, s).bind(2, p).bind(3, o).bind(4, state.source_id(provenance.source));
  state.add_fact.bind(5, provenance.confidence)
      .bind(6, provenance.valid_from)
      .bind(7, provenance.valid_to);
  state.add_fact.bind(8, state.id).run();
  if (state.store.database_.changes() == 0) return Outcome::kKnown;
  ++state.facts;
  if (++state.pending >= kFactsPerTransaction) state.next_piece();
  return Outcome::kAdded;
}

Store::Batch::Outcome Store::Batch::restore(const Term& subject, const Term& predicate,
                                            const Term& object, const Provenance& provenance) {
  State& state = *state_;
  state.drop.bind(1, state.term_id(subject))
      .bind(2, state.term_id(predicate))
      .bind(3, state.term_id(object))
      .run();
  return add(subject, predicate, object, provenance);
}

bool Store::Batch::retract(int64_t fact) {
  state_->retract.bind(1, state_->id).bind(2, fact).run();
  const bool done = state_->store.database_.changes() > 0;
  state_->facts += done;
  return done;
}

void Store::Batch::finish(int64_t rejected) {
  State& state = *state_;
  Query(state.store.database_,
        "UPDATE batch SET state = 'done', facts = ?, rejected = ? WHERE id = ?")
      .bind(1, state.facts)
      .bind(2, rejected)
      .bind(3, state.id)
      .run();
  state.store.database_.run("UPDATE meta SET value = value + 1 WHERE key = 'version'");
  state.transaction->commit();
  state.transaction.reset();
  state_.reset();
}

Store::Batch Store::begin(std::string_view kind, std::string_view file, std::string_view hash) {
  return Batch(*this, kind, file, hash);
}

}  // namespace shenhong
