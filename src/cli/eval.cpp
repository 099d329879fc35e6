// shenhong eval SUITE --model DIR: what a model knows and can do, in numbers.
#include <CLI/CLI.hpp>

#include <cstdio>
#include <memory>

#include "cli/cache_option.h"
#include "cli/evaluate.h"
#include "cli/model_option.h"
#include "cli/verbs.h"
#include "core/error.h"
#include "eval/facts.h"

namespace shenhong {
namespace {

struct Options {
  std::string model, data, lines, split = "test", report;
  FactEvalOptions facts;
  EngineOptions engine;
  int samples = 200;
  uint64_t seed = 1;
  int64_t windows = 400;
  bool json = false;
};

std::string percent(const Json& share) {
  return share.is_null() ? "–" : fmt::format("{:.1f} %", 100 * share.get<double>());
}

void eval_loss(const Options& options) {
  const Json result =
      evaluate_loss(find_model(options.model), options.data, options.windows, options.engine.cache);
  if (options.json) {
    std::puts(dump_json(result).c_str());
    return;
  }
  for (const Json& source : result["sources"])
    fmt::print("{:24} {:.4f} nats/token  {:.4f} bits/byte  {} tokens\n",
               source["source"].get<std::string>(), source["nats_per_token"].get<double>(),
               source["bits_per_byte"].get<double>(), source["tokens"].get<int64_t>());
  fmt::print("{:24} {:.4f} nats/token  {:.4f} bits/byte\n", "all",
             result["nats_per_token"].get<double>(), result["bits_per_byte"].get<double>());
}

void eval_poems(const Options& options) {
  const fs::path model = find_model(options.model);
  const fs::path lines = options.lines.empty() ? model / "poem_lines.idx" : fs::path(options.lines);
  SH_CHECK(options.lines.empty() || fs::exists(lines), kBadInput,
           "{}: no such file; --lines wants the poem_lines.idx that `shenhong data` wrote",
           lines.string());
  const Json result = evaluate_poems(model, options.samples, lines, options.seed, options.engine);
  if (options.json) {
    std::puts(dump_json(result).c_str());
    return;
  }
  fmt::print("{:8} {:>8} {:>8} {:>8} {:>8}\n", "form", "samples", "form", "rhyme", "copied");
  for (const auto& [form, row] : result["forms"].items())
    fmt::print("{:6} {:>8} {:>8} {:>8} {:>8}\n", form, row["samples"].get<int>(),
               percent(row["form_ok"]), percent(row["rhyme_ok"]), percent(row["copied"]));
  fmt::print("rhyme by {}\n", dump_json(result["rhyme_table"]));
}

void eval_facts(Options& options) {
  options.facts.split = options.split == "train" ? Split::kTrain : Split::kTest;
  const Json result = evaluate_facts(find_model(options.model), options.facts, options.engine);
  if (!options.report.empty()) write_file(options.report, facts_markdown(result));
  fmt::print("{}\n", options.json ? dump_json(result) : facts_markdown(result));
}

}  // namespace

void add_eval(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("eval", "what a model knows and can do, in numbers");
  verb->require_subcommand(1);
  verb->footer(
      "Examples:\n  shenhong eval poems --json\n  shenhong eval loss --data data/nano --model "
      "runs/nano/model");
  CLI::App* loss =
      verb->add_subcommand("loss", "validation loss, in nats per token and bits per byte");
  loss->add_option("--data", options->data, "output of `shenhong data`, such as data/mini")
      ->required();
  loss->add_option("--windows", options->windows, "windows per source")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  CLI::App* poems = verb->add_subcommand("poems", "form, rhyme and originality of seeded poems");
  poems
      ->add_option("--seed", options->seed,
                   "of the samples; settings are to be chosen on another than reported")
      ->capture_default_str();
  poems->add_option("--samples", options->samples, "poems per form")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  poems->add_option("--lines", options->lines,
                    "index of the training set's lines; default: the model's own");
  CLI::App* facts = verb->add_subcommand(
      "facts", "answers from a graph over invented worlds, and what is admitted not to be known");
  facts->add_option("--seeds", options->facts.seeds, "worlds")
      ->delimiter(',')
      ->capture_default_str();
  facts->add_option("--questions", options->facts.questions, "per kind, language and world")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  facts->add_option("--graph", options->facts.graph,
                    "ask about a copy of this graph instead of invented worlds");
  facts
      ->add_option("--examples", options->facts.examples,
                   "wrong answers per arm and kind that --json shows")
      ->capture_default_str()
      ->check(CLI::Range(0, 1000000));
  facts->add_option("--people", options->facts.people, "size of a world")
      ->check(CLI::Range(40, 50000))
      ->capture_default_str();
  facts
      ->add_option("--arms", options->facts.arms,
                   "systems: template, closed-book, prompt-facts, auto, always, strict")
      ->delimiter(',')
      ->capture_default_str();
  facts->add_option("--phrasings", options->split, "test: unseen in training; train")
      ->check(CLI::IsMember({"test", "train"}))
      ->capture_default_str();
  facts->add_option("--report", options->report, "write the tables to this Markdown file");
  for (CLI::App* suite : {loss, poems, facts}) {
    add_model_option(*suite, options->model);
    add_cache_option(*suite, options->engine.cache);
    suite->add_flag("--json", options->json, "print one JSON object");
  }
  loss->callback([options] { eval_loss(*options); });
  poems->callback([options] { eval_poems(*options); });
  facts->callback([options] { eval_facts(*options); });
}

}  // namespace shenhong
