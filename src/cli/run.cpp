// shenhong run RECIPE: every stage of a recipe, and the report.
#include <CLI/CLI.hpp>

#include <cstdio>
#include <memory>

#include "cli/stages.h"
#include "cli/verbs.h"

namespace shenhong {

void add_run(CLI::App& app) {
  struct Options {
    std::string recipe;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* verb =
      app.add_subcommand("run", "the whole pipeline of a recipe with a report at the end");
  verb->add_option("recipe", options->recipe, "the recipe, a TOML file")->required();
  verb->add_flag("--json", options->json, "print the report as JSON");
  verb->footer(
      "Stages that are done are not done again; after an interruption the same command goes on. "
      "Example:\n"
      "  shenhong run recipes/nano.toml");
  verb->callback([options] {
    const Recipe recipe = load_recipe(options->recipe);
    run_data_stage(recipe);
    for (const std::string_view stage : recipe.stages()) run_train_stage(recipe, stage);
    const Json report = run_export_stage(recipe);
    if (options->json)
      std::puts(dump_json(report, 2).c_str());
    else
      std::fputs(read_file(recipe.model_directory() / "README.md").c_str(), stdout);
  });
}

}  // namespace shenhong
