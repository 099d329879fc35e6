#include "knowledge/database.h"

#include <sqlite3.h>

#include "core/error.h"

namespace shenhong {

Database::Database(const fs::path& path, Access access, int busy_timeout_ms)
    : path_(path), busy_timeout_ms_(busy_timeout_ms) {
  const bool exists = fs::exists(path);
  if (access == Access::kCreate) {
    SH_CHECK(!exists, kUsage, "{}: exists already; remove it, or import into it", path.string());
    if (path.has_parent_path()) fs::create_directories(path.parent_path());
  } else {
    SH_CHECK(exists, kBadInput, "{}: no such graph; `shenhong kg init --graph {}` makes one",
             path.string(), path.string());
  }
  const int flags = access == Access::kRead     ? SQLITE_OPEN_READONLY
                    : access != Access::kCreate ? SQLITE_OPEN_READWRITE
                                                : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const int code = sqlite3_open_v2(path.c_str(), &handle_, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  try {
    if (code != SQLITE_OK) fail_with(code);
    sqlite3_busy_timeout(handle_, busy_timeout_ms_);
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    run("PRAGMA cache_size = -131072");  // 128 MiB
    run("PRAGMA temp_store = memory");
    // SQLite opens lazily: this is the first read of the file.
    number("PRAGMA schema_version");
    if (access != Access::kCreate && access != Access::kRead &&
        sqlite3_db_readonly(handle_, "main") == 1)
      fail_with(SQLITE_READONLY);
  } catch (...) {
    sqlite3_close_v2(handle_);
    throw;
  }
}

Database::~Database() { sqlite3_close_v2(handle_); }

void Database::fail_with(int code) const {
  const std::string file = path_.string();
  switch (code & 0xFF) {
    case SQLITE_NOTADB:
      fail(Exit::kBadInput, "{}: is no graph: not an SQLite file", file);
    case SQLITE_CORRUPT:
      fail(Exit::kBadInput, "{}: is damaged ({}); take a copy, or import its sources again", file,
           sqlite3_errmsg(handle_));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      fail(Exit::kResources,
           "{}: another process has been writing for {} ms; try again when it is done", file,
           busy_timeout_ms_);
    case SQLITE_READONLY:
      fail(Exit::kResources, "{}: cannot be written: the file or its directory is read-only", file);
    case SQLITE_CANTOPEN:
      fail(Exit::kBadInput, "{}: cannot be opened: {}", file, sqlite3_errmsg(handle_));
    case SQLITE_FULL:
      fail(Exit::kResources, "{}: the disk is full; nothing of this step was kept", file);
    default:
      fail(Exit::kFailure, "{}: {}", file, sqlite3_errmsg(handle_));
  }
}

void Database::run(const char* sql) {
  const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail_with(code);
}

int64_t Database::number(const char* sql) {
  Query query(*this, sql);
  SH_CHECK(query.step(), kBadInput, "{}: is damaged: '{}' gives nothing", path_.string(), sql);
  return query.integer(0);
}

int64_t Database::changes() const { return sqlite3_changes64(handle_); }

Query::Query(const Database& database, const char* sql) : database_(&database) {
  const int code = sqlite3_prepare_v3(database.handle(), sql, -1, SQLITE_PREPARE_PERSISTENT,
                                      &statement_, nullptr);
  if (code != SQLITE_OK) database.fail_with(code);
}

Query::~Query() { sqlite3_finalize(statement_); }

Query& Query::bind(int parameter, int64_t value) {
  SH_ASSERT(sqlite3_bind_int64(statement_, parameter, value) == SQLITE_OK);
  return *this;
}

Query& Query::bind(int parameter, double value) {
  SH_ASSERT(sqlite3_bind_double(statement_, parameter, value) == SQLITE_OK);
  return *this;
}

Query& Query::bind(int parameter, std::string_view text) {
  const int code = sqlite3_bind_text64(statement_, parameter, text.data() ? text.data() : "",
                                       text.size(), SQLITE_STATIC, SQLITE_UTF8);
  if (code != SQLITE_OK) database_->fail_with(code);
  return *this;
}

bool Query::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  sqlite3_reset(statement_);
  if (code != SQLITE_DONE) database_->fail_with(code);
  return false;
}

void Query::run() {
  while (step()) {
  }
}

void Query::reset() { sqlite3_reset(statement_); }

int64_t Query::integer(int column) const { return sqlite3_column_int64(statement_, column); }
double Query::real(int column) const { return sqlite3_column_double(statement_, column); }
std::string_view Query::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return bytes ? std::string_view(bytes, size_t(sqlite3_column_bytes(statement_, column)))
               : std::string_view();
}

void Transaction::commit() {
  database_.run("COMMIT");
  open_ = false;
}

Transaction::~Transaction() {
  if (open_) sqlite3_exec(database_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

}  // namespace shenhong
