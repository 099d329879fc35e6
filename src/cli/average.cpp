// shenhong average DIR DIR... OUT: one model out of several ends of training.
#include <CLI/CLI.hpp>

#include <memory>

#include "cli/verbs.h"
#include "core/error.h"
#include "model/average_directories.h"

namespace shenhong {
namespace {

void average(const std::vector<std::string>& given) {
  SH_CHECK(given.size() >= 3, kUsage,
           "average: want at least two models and the directory to write; "
           "{} given",
           given.size());
  const fs::path out = given.back();
  average_directories({given.begin(), given.end() - 1}, out);
  fmt::print("{}: the mean of {} models\n", out.string(), given.size() - 1);
}

}  // namespace

void add_average(CLI::App& app) {
  const auto given = std::make_shared<std::vector<std::string>>();
  CLI::App* verb = app.add_subcommand("average", "the mean of several models' weights");
  verb->add_option("DIR", *given, "model directories of one form, and last the directory to write")
      ->required();
  verb->footer("Example:\n  shenhong average runs/a/model runs/b/model mean");
  verb->callback([given] { average(*given); });
}

}  // namespace shenhong
