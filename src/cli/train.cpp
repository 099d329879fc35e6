// shenhong train RECIPE: one stage of training; resumes by itself.
#include <CLI/CLI.hpp>

#include <memory>

#include "cli/stages.h"
#include "cli/verbs.h"

namespace shenhong {

void add_train(CLI::App& app) {
  struct Options {
    std::string recipe, stage = "pretrain";
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("train", "one stage of training; resumes by itself");
  verb->add_option("recipe", options->recipe, "the recipe, a TOML file")->required();
  verb->add_option("--stage", options->stage, "which stage")
      ->check(CLI::IsMember({"pretrain", "chat", "refine", "drafts"}))
      ->capture_default_str();
  verb->add_flag("--json", options->json, "print the final validation as one JSON object");
  verb->footer(
      "SIGTERM or Ctrl-C saves and exits with 75; the same command goes on. Examples:\n"
      "  shenhong train recipes/nano.toml\n  shenhong train recipes/nano.toml --stage chat");
  verb->callback([options] {
    const std::vector<ValidationLoss> losses =
        run_train_stage(load_recipe(options->recipe), options->stage);
    print_validation(losses, options->json);
  });
}

}  // namespace shenhong
