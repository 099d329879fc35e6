// SQLite behind prepared statements: what it refuses becomes an Error that names the file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/file.h"

struct sqlite3;
struct sqlite3_stmt;

namespace shenhong {

// kAppend: as kWrite, but beside another writer: what that has not ended is left alone.
enum class Access { kRead, kWrite, kAppend, kCreate };

class Database {
 public:
  // kCreate makes the file and refuses one that exists. A file from elsewhere is untrusted input:
  // its schema can run nothing (trusted_schema = off).
  // A statement that meets another process's lock waits for `busy_timeout_ms`.
  Database(const fs::path& path, Access access, int busy_timeout_ms = 5000);
  ~Database();
  Database(Database&& other) noexcept
      : path_(std::move(other.path_)),
        handle_(other.handle_),
        busy_timeout_ms_(other.busy_timeout_ms_) {
    other.handle_ = nullptr;
  }

  const fs::path& path() const { return path_; }
  sqlite3* handle() const { return handle_; }
  void run(const char* sql);
  int64_t number(const char* sql);  // of the first column of the first row
  int64_t changes() const;          // rows that the last statement changed
  [[noreturn]] void fail_with(int code) const;

 private:
  fs::path path_;
  sqlite3* handle_ = nullptr;
  int busy_timeout_ms_;
};

// A statement that is prepared once and used often:
//   insert.bind(1, text); insert.bind(2, id); insert.run();
//   find.bind(1, text);  while (find.step()) use(find.integer(0));
class Query {
 public:
  Query(const Database& database, const char* sql);
  ~Query();
  Query(Query&& other) noexcept : database_(other.database_), statement_(other.statement_) {
    other.statement_ = nullptr;
  }

  Query& bind(int parameter, int64_t value);
  Query& bind(int parameter, double value);
  // The text must live until run() or the last step().
  Query& bind(int parameter, std::string_view text);

  bool step();  // false after the last row; the statement is then ready for other values
  void run();   // for statements without rows
  void reset();

  int64_t integer(int column) const;
  double real(int column) const;
  std::string_view text(int column) const;  // valid until the next step()

 private:
  const Database* database_;
  sqlite3_stmt* statement_ = nullptr;
};

// Rolls back unless commit() was called.
class Transaction {
 public:
  explicit Transaction(Database& database) : database_(database) {
    database_.run("BEGIN IMMEDIATE");
  }
  ~Transaction();
  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

}  // namespace shenhong
