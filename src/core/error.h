// How the program fails. Two kinds of exception, caught in two places only: main and the request
// handler of the server.
//   Error  something outside is wrong: a flag, a file, a request. Its text names the thing, the
//          value, the limit and, where one is known, the remedy.
//   Bug    one of our own invariants does not hold; carries the place and the expression.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace shenhong {

// The process's exit codes; part of the command line's contract.
enum class Exit {
  kOk = 0,
  kFailure = 1,
  kUsage = 2,         // a flag, a recipe or a request is wrong
  kBadInput = 3,      // a file is missing, broken or contradicts another
  kResources = 4,     // memory or disk is not enough
  kDiverged = 5,      // training gave up
  kInterrupted = 75,  // state was saved; run the same command again to go on
};

class Error : public std::runtime_error {
 public:
  Error(Exit code, const std::string& what) : std::runtime_error(what), code_(code) {}
  Exit code() const { return code_; }

 private:
  Exit code_;
};

class Bug : public std::logic_error {
  using std::logic_error::logic_error;
};

template <class... Args>
[[noreturn]] void fail(Exit code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace shenhong

// Always on, also in release: outside input reaches it.
#define SH_CHECK(condition, code, ...)                       \
  do {                                                       \
    if (!(condition)) [[unlikely]]                           \
      ::shenhong::fail(::shenhong::Exit::code, __VA_ARGS__); \
  } while (0)

// Always on, also in release: outside input never reaches it, and if it does we want to know where.
#define SH_ASSERT(condition)                                                         \
  do {                                                                               \
    if (!(condition)) [[unlikely]]                                                   \
      throw ::shenhong::Bug(                                                         \
          fmt::format("{}:{}: '{}' does not hold", __FILE__, __LINE__, #condition)); \
  } while (0)
