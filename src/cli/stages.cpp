#include "cli/stages.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <iterator>
#include <map>

#include "cli/evaluate.h"
#include "cli/model_card.h"
#include "core/memory.h"
#include "data/dialogue_shards.h"
#include "data/line_index.h"
#include "data/prepare.h"
#include "infer/generation_config.h"
#include "model/model_directory.h"
#include "text/special_tokens.h"
#include "train/memory_need.h"

namespace shenhong {
namespace {

std::atomic<bool> stop_requested{false};

// The first signal asks the trainer to save and stop; a second one ends the process at once.
void handle_signal(int signal) {
  stop_requested = true;
  std::signal(signal, SIG_DFL);
}

struct SignalGuard {
  SignalGuard() {
    std::signal(SIGTERM, handle_signal);
    std::signal(SIGINT, handle_signal);
  }
  ~SignalGuard() {
    std::signal(SIGTERM, SIG_DFL);
    std::signal(SIGINT, SIG_DFL);
  }
};

ModelConfig model_config(const Recipe& recipe) {
  const Tokenizer tokenizer = Tokenizer::load(recipe.tokenizer_path());
  ModelConfig config = recipe.model;
  config.vocab_size = tokenizer.vocab_size();
  config.bos_token_id = tokenizer.bos_id();
  config.eos_token_id = tokenizer.eos_id();
  config.validate(recipe.path.string() + " [model]");
  return config;
}

struct Sources {
  std::vector<MixtureEntry> train, validation;
};

// A source whose every document fell on one side of the split is left out of the other.
void add_source(Sources& sources, const fs::path& directory, double weight, Packing packing) {
  auto train = std::make_shared<TokenSource>(directory, "train");
  auto valid = std::make_shared<TokenSource>(directory, "valid");
  if (train->tokens() > 0) sources.train.push_back({std::move(train), weight, packing});
  if (valid->tokens() > 0) sources.validation.push_back({std::move(valid), weight, packing});
}

void add_text(Sources& sources, const Recipe& recipe) {
  for (const SourceConfig& source : recipe.data.sources)
    add_source(sources, recipe.data_directory() / source.name, source.weight, Packing::kStream);
}

void add_dialogues(Sources& sources, const Recipe& recipe) {
  add_source(sources, recipe.dialogue_directory(), 1, Packing::kWhole);
  if (!recipe.lookups.graph.empty())
    add_source(sources, recipe.lookup_directory(), 1, Packing::kWhole);
}

double weighted_tokens(const std::vector<MixtureEntry>& entries) {
  double tokens = 0;
  for (const MixtureEntry& entry : entries) tokens += entry.weight * double(entry.source->tokens());
  return tokens;
}

Sources open_sources(const Recipe& recipe, std::string_view stage) {
  Sources sources;
  if (stage == "pretrain") {
    add_text(sources, recipe);
  } else {
    add_dialogues(sources, recipe);
    if (const double share = recipe.chat_stage(stage).text_share; share > 0) {
      Sources text;
      add_text(text, recipe);
      const double scale =
          share / (1 - share) * weighted_tokens(sources.train) / weighted_tokens(text.train);
      for (MixtureEntry& entry : text.train) entry.weight *= scale;
      std::ranges::move(text.train, std::back_inserter(sources.train));
      std::ranges::move(text.validation, std::back_inserter(sources.validation));
    }
  }
  return sources;
}

std::vector<Windows> validation_windows(const Sources& sources, const TrainConfig& config,
                                        const ModelConfig& model) {
  std::vector<Windows> windows;
  for (const MixtureEntry& entry : sources.validation)
    windows.emplace_back(entry.source, config.seq_len + model.num_nextn_predict_layers + 1,
                         entry.packing, config.seed);
  return windows;
}

Emphasis query_emphasis(const Recipe& recipe, double weight) {
  const Tokenizer tokenizer = Tokenizer::load(recipe.tokenizer_path());
  return {tokenizer.token_id(kKgEntity).value(), tokenizer.token_id(kKgEnd).value(), weight};
}

// The same model with `modules` fresh prediction modules.
std::unique_ptr<Model<float>> with_modules(const Model<float>& trunk, int modules, uint64_t seed) {
  ModelConfig config = trunk.config();
  config.num_nextn_predict_layers = modules;
  auto model = std::make_unique<Model<float>>(config);
  model->initialize(seed);
  std::map<std::string_view, const Parameter<float>*> known;
  trunk.for_each_parameter([&](const Parameter<float>& p) { known[p.name] = &p; });
  model->for_each_parameter([&](Parameter<float>& p) {
    const auto old = known.find(p.name);
    if (old != known.end()) std::ranges::copy(old->second->value, p.value.begin());
  });
  return model;
}

fs::path weights_directory(const Recipe& recipe, std::string_view stage) {
  return recipe.run_directory() / stage / "weights";
}

// What makes `output` up to date: it exists and remembers the same inputs.
bool is_done(const fs::path& marker, const std::string& inputs) {
  return fs::exists(marker) && read_file(marker) == inputs;
}

}  // namespace

std::string run_data_stage(const Recipe& recipe) {
  const fs::path out = recipe.data_directory();
  PrepareOptions options;
  options.out = out;
  const DataReport report = prepare(recipe.data, options);
  std::string markdown = report_markdown(report);

  const auto hash_of = [](const fs::path& file) { return hash_hex(read_file(file)); };
  const Json prepared = {{"templates", hash_of(recipe.dialogue_templates())},
                         {"report", hash_of(out / "report.json")},
                         {"tokenizer", hash_of(recipe.tokenizer_path())}};
  // Dialogues in a folder of their own, made again when what they are made of has changed.
  const auto make = [&](const fs::path& directory, Json inputs, const auto& write) {
    inputs["prepared"] = prepared;
    const fs::path marker = directory / "done.json";
    if (is_done(marker, dump_json(inputs))) return;
    const auto counts = write();
    write_dialogue_shards(directory, recipe.tokenizer_path(), ChatTemplate::deepseek());
    write_file(marker, dump_json(inputs));
    markdown += "\n| dialogues | count |\n|---|---|\n";
    for (const auto& [kind, count] : counts) markdown += fmt::format("| {} | {} |\n", kind, count);
  };
  make(recipe.dialogue_directory(), {{"dialogues", fields_to_json(recipe.dialogues)}}, [&] {
    index_training_lines(out).save(out / "poem_lines.idx");
    return write_dialogues(recipe.dialogues, recipe.dialogue_templates(), out,
                           recipe.dialogue_directory());
  });
  if (recipe.lookups.graph.empty()) return markdown;
  Json inputs = {{"lookups", fields_to_json(recipe.lookups)},
                 {"questions", hash_of(recipe.lookups.questions)}};
  for (const std::string& file : recipe.lookups.graph) inputs["graph"].push_back(hash_of(file));
  make(recipe.lookup_directory(), std::move(inputs), [&] {
    return write_lookup_dialogues(recipe.lookups, recipe.dialogue_templates(), out,
                                  recipe.lookup_directory());
  });
  return markdown;
}

std::vector<ValidationLoss> run_train_stage(const Recipe& recipe, std::string_view stage) {
  const std::vector<std::string_view> stages = recipe.stages();
  const auto at = std::ranges::find(stages, stage);
  SH_CHECK(at != stages.end(), kUsage, "{}: has no section [{}], so there is no such stage",
           recipe.path.string(), stage);
  const bool first = at == stages.begin();
  const TrainConfig& config = first ? recipe.pretrain : recipe.chat_stage(stage);
  const fs::path directory = recipe.run_directory() / stage;
  const fs::path start = first ? fs::path() : weights_directory(recipe, *(at - 1));
  ModelConfig form = first ? model_config(recipe) : read_model_config(start);
  if (stage == "drafts") form.num_nextn_predict_layers = recipe.drafts->modules;
  check_memory(fmt::format("{} [{}]", recipe.path.string(), stage), config, form,
               available_memory_bytes());
  std::unique_ptr<Model<float>> model;
  if (!first) {
    model = load_model(start);
    if (stage == "drafts") model = with_modules(*model, recipe.drafts->modules, config.seed);
  } else {
    model = std::make_unique<Model<float>>(form);
    model->initialize(config.seed);
  }
  const Sources sources = open_sources(recipe, stage);
  const ModelConfig& shape = model->config();
  Mixture mixture(sources.train, config.seq_len + shape.num_nextn_predict_layers + 1, config.seed);
  Trainer trainer(config, *model, std::move(mixture), validation_windows(sources, config, shape),
                  directory, query_emphasis(recipe, config.query_weight));
  const SignalGuard signals;
  const TrainOutcome outcome = trainer.run(stop_requested);
  for (const std::string& note : trainer.notes()) fmt::print(stderr, "{}\n", note);
  switch (outcome) {
    case TrainOutcome::kInterrupted:
      fail(Exit::kInterrupted, "{}: saved at step {} of {}; run the same command again to go on",
           directory.string(), trainer.step(), config.steps);
    case TrainOutcome::kDiverged:
      fail(
          Exit::kDiverged,
          "{}: the loss is not finite or spikes too often, at step {}; {} says why; try a lower lr",
          directory.string(), trainer.step(), (directory / "log.jsonl").string());
    case TrainOutcome::kFinished:
      break;
  }
  save_model(*model, weights_directory(recipe, stage), WeightFormat::kF32);
  return trainer.validation();
}

namespace {

Json loss_json(const std::vector<ValidationLoss>& losses) {
  Json list = Json::array();
  for (const ValidationLoss& loss : losses)
    list.push_back({{"source", loss.source},
                    {"nats_per_token", loss.nats_per_token},
                    {"bits_per_byte", loss.bits_per_byte},
                    {"tokens", loss.tokens}});
  return list;
}

}  // namespace

void print_validation(const std::vector<ValidationLoss>& losses, bool as_json) {
  if (as_json) {
    fmt::print("{}\n", dump_json({{"loss", loss_json(losses)}}));
    return;
  }
  for (const ValidationLoss& loss : losses)
    fmt::print("{:24} {:.4f} nats/token  {:.4f} bits/byte\n", loss.source, loss.nats_per_token,
               loss.bits_per_byte);
}

Json run_export_stage(const Recipe& recipe) {
  const fs::path out = recipe.model_directory();
  const std::unique_ptr<Model<float>> model =
      load_model(weights_directory(recipe, recipe.stages().back()));
  save_model(*model, out, WeightFormat::kBF16);
  save_tokenizer_files(Tokenizer::load(recipe.tokenizer_path()), ChatTemplate::deepseek(), out);
  GenerationConfig generation;
  generation.end_tokens = {model->config().eos_token_id};
  generation.sampling.temperature = 1.6;
  generation.sampling.min_p = 0.1;
  // Verse hardly repeats a character, and a rhyme word never.
  generation.sampling.presence_penalty = 2;
  write_file(out / "generation_config.json", write_generation_config(generation, model->config()));
  // Beside the model, so that `eval poems` can say which lines are not its own.
  write_file(out / "poem_lines.idx", read_file(recipe.data_directory() / "poem_lines.idx"));

  // The report is about what was written: the exported weights, read back.
  const std::unique_ptr<Weights> exported = load_weights(out);
  Json report = {{"recipe", recipe.name}};
  Sources sources;
  add_text(sources, recipe);
  add_dialogues(sources, recipe);
  const auto windows = validation_windows(sources, recipe.chat, exported->config());
  report["loss"] = loss_json(decoded_loss(*exported, windows, recipe.eval.validation_windows));
  if (recipe.eval.poems > 0)
    report["poems"] = evaluate_poems(out, recipe.eval.poems, out / "poem_lines.idx");
  if (recipe.eval.facts > 0) {
    FactEvalOptions options;
    options.questions = recipe.eval.facts;
    options.questions_file = recipe.lookups.questions;
    report["facts"] = evaluate_facts(out, options);
  }
  write_file(recipe.run_directory() / "report.json", dump_json(report, 2) + "\n");
  write_file(out / "README.md", model_card(recipe, exported->config(), report));
  return report;
}

}  // namespace shenhong
