// shenhong data RECIPE: corpora -> clean, deduplicated token shards, tokenizer, chat dialogues.
#include <CLI/CLI.hpp>

#include <cstdio>
#include <memory>

#include "cli/stages.h"
#include "cli/verbs.h"

namespace shenhong {

void add_data(CLI::App& app) {
  struct Options {
    std::string recipe;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* verb =
      app.add_subcommand("data", "corpora to clean, deduplicated token shards and a tokenizer");
  verb->add_option("recipe", options->recipe, "the recipe, a TOML file")->required();
  verb->add_flag("--json", options->json, "print the report as JSON");
  verb->footer(
      "A run that was killed goes on where it stood. Example:\n  shenhong data recipes/nano.toml");
  verb->callback([options] {
    const Recipe recipe = load_recipe(options->recipe);
    const std::string report = run_data_stage(recipe);
    if (options->json)
      std::fputs(read_file(recipe.data_directory() / "report.json").c_str(), stdout);
    else
      std::fputs(report.c_str(), stdout);
  });
}

}  // namespace shenhong
