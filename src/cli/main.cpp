// The list of verbs, and one of the two places that catch (the other is the server's request
// handler).
#include <CLI/CLI.hpp>

#include <cstdio>
#include <new>

#include "cli/verbs.h"
#include "core/error.h"

int main(int argc, char** argv) {
  using shenhong::Exit;
  CLI::App app{"深红 Shenhong: from raw text to a chat model that answers, on two CPU cores",
               "shenhong"};
  app.set_version_flag("--version", SHENHONG_VERSION);
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "help of all verbs");
  try {
    shenhong::add_verbs(app);
    app.parse(argc, argv);
    return int(Exit::kOk);
  } catch (const CLI::Success& e) {  // --help, --version
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    fmt::print(stderr, "shenhong: {}; see shenhong --help\n", e.what());
    return int(Exit::kUsage);
  } catch (const shenhong::Error& e) {
    fmt::print(stderr, "shenhong: {}\n", e.what());
    return int(e.code());
  } catch (const shenhong::Bug& e) {
    fmt::print(stderr, "shenhong: this is our bug, please report it\n  {}\n", e.what());
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "shenhong: out of memory\n");
    return int(Exit::kResources);
  } catch (const std::exception& e) {
    fmt::print(stderr, "shenhong: {}\n", e.what());
  }
  return int(Exit::kFailure);
}
