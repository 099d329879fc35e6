// shenhong bench train | decode | prefill: how fast this machine runs a model, beside its measured
// ceilings. bench_serve.cpp has the fourth.
#include "cli/bench.h"

#include <CLI/CLI.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>

#include "cli/cache_option.h"
#include "cli/drafts_option.h"
#include "cli/model_option.h"
#include "cli/verbs.h"
#include "core/parallel.h"
#include "core/random.h"
#include "infer/decoder.h"
#include "infer/engine.h"
#include "kernels/ceiling.h"
#include "kernels/kernels.h"
#include "model/cost.h"
#include "model/step_times.h"
#include "train/optimizer.h"

namespace shenhong {

void print_figures(const Json& figures, bool as_json) {
  if (as_json) {
    std::puts(dump_json(figures).c_str());
    return;
  }
  for (const auto& [key, value] : figures.items()) fmt::print("{:20} {}\n", key, dump_json(value));
}

std::vector<int> random_prompt(const ModelConfig& config, int count, uint64_t seed) {
  std::vector<int> tokens;
  for (int i = 0; i < count; ++i)
    tokens.push_back(int(uniform_below(uint64_t(config.vocab_size), seed, 1, uint64_t(i))));
  return tokens;
}

namespace {

double seconds(const std::function<void()>& run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double peak_rss_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return double(usage.ru_maxrss) / 1024;
}

void print_with_machine(Json figures, bool as_json) {
  figures["peak_rss_mib"] = peak_rss_mib();
  figures["threads"] = thread_count();
  figures["kernels"] = kernels<float>().name;
  print_figures(figures, as_json);
}

// Milliseconds of a step by part, and each part's share of it.
Json step_table(const StepTimes& times, int steps) {
  double total = 0;
  const auto milliseconds = [&](int p, Pass pass) {
    return 1e3 * times.seconds(Part(p), pass) / steps;
  };
  for (int p = 0; p < kParts; ++p)
    total += milliseconds(p, Pass::kForward) + milliseconds(p, Pass::kBackward);
  Json rows = Json::array();
  for (int p = 0; p < kParts; ++p) {
    const double forward = milliseconds(p, Pass::kForward),
                 backward = milliseconds(p, Pass::kBackward);
    rows.push_back({{"part", name_of(Part(p))},
                    {"forward_ms", forward},
                    {"backward_ms", backward},
                    {"share", (forward + backward) / total}});
  }
  return rows;
}

void print_step_table(const Json& rows) {
  fmt::print("{:24} {:>10} {:>10} {:>8}\n", "", "forward", "backward", "share");
  for (const Json& row : rows)
    fmt::print("{:24} {:>7.1f} ms {:>7.1f} ms {:>6.1f} %\n", row["part"].get<std::string>(),
               row["forward_ms"].get<double>(), row["backward_ms"].get<double>(),
               100 * row["share"].get<double>());
}

struct TrainOptions {
  std::string model;
  int batch = 16, seq_len = 256, steps = 5;
  bool json = false;
};

// Whole steps on random tokens: forward, backward, clip, AdamW. Speed does not depend on the
// tokens, but for the experts' balance, which random weights leave nearly even.
void bench_train(const TrainOptions& options) {
  const ModelConfig config = read_config(fs::path(options.model) / "config.json");
  SH_CHECK(options.seq_len <= config.max_position_embeddings, kUsage,
           "--seq-len {} is beyond the model's context of {}", options.seq_len,
           config.max_position_embeddings);
  Model<float> model(config);
  model.initialize(1);
  model.allocate_gradients();
  std::vector<Parameter<float>*> parameters;
  model.for_each_parameter([&](Parameter<float>& p) { parameters.push_back(&p); });
  OptimizerConfig adamw;
  adamw.method = "adamw";
  Optimizer optimizer(adamw, parameters);

  Batch batch{options.batch, options.seq_len, {}, {}};
  const int row = options.seq_len + config.num_nextn_predict_layers;
  for (int64_t i = 0; i < int64_t(options.batch) * row; ++i) {
    batch.tokens.push_back(int(uniform_below(config.vocab_size, 1, 1, i)));
    batch.targets.push_back(int(uniform_below(config.vocab_size, 1, 2, i)));
  }
  const double tokens = double(options.batch) * options.seq_len;
  const auto step = [&] {
    model.zero_gradients();
    model.forward_backward(batch, 1 / tokens, 0.3 / tokens);
    optimizer.step(1e-3, optimizer.clip_scale(optimizer.gradient_norm()));
  };
  step();
  // The machine's speed moves within minutes, so the ceiling is taken between the steps.
  std::vector<double> times, ceilings;
  StepTimes parts;
  for (int i = 0; i < options.steps; ++i) {
    ceilings.push_back(measure_gemm_ceiling_gflops(thread_count()));
    parts.resume();
    times.push_back(seconds(step));
    parts.pause();
  }
  const double tokens_per_s = tokens / median(times), ceiling = median(ceilings);
  const double gflops = tokens_per_s * training_flop_per_token(config, options.seq_len) / 1e9;
  Json figures{{"tokens_per_s", tokens_per_s},
               {"gflops", gflops},
               {"ceiling_gflops", ceiling},
               {"share", gflops / ceiling}};
  const Json table = step_table(parts, options.steps);
  if (options.json) figures["step"] = table;
  print_with_machine(figures, options.json);
  if (!options.json) print_step_table(table);
}

struct DecodeOptions {
  std::string model;
  int depth = 0, prompt = 128, tokens = 64, repeats = 5;
  EngineOptions engine = {.drafts = kAutoDrafts};
  bool json = false;
};

// Makes the sequence's next `tokens` tokens read without reading them: what attention costs does
// not depend on what their rows hold, but numbers of ordinary size keep it free of infinities and
// subnormals.
void fill(Sequence& sequence, int layers, int tokens) {
  PagePool& pool = sequence.pool();
  SH_ASSERT(sequence.reserve(tokens));
  Buffer<float> noise(int64_t(kPageTokens) * pool.row().size());
  for (int64_t i = 0; i < noise.size(); ++i) noise[i] = float(normal(1, 1, uint64_t(i)));
  for (const int page : sequence.pages())
    for (int l = 0; l < layers; ++l)
      for (int place = 0; place < kPageTokens; ++place)
        pool.write(page, l, place, noise.data() + int64_t(place) * pool.row().size());
  sequence.advance(tokens);
}

// One sequence of random tokens over and over: after `depth` tokens that the cache holds already,
// read `prompt` tokens in chunks as the engine does, then decode `tokens` greedily. Weights alone
// are loaded, so any model form will do.
struct Decoding {
  explicit Decoding(const DecodeOptions& options)
      : weights(load_weights(find_model(options.model))), decoder(*weights) {
    const ModelConfig& config = weights->config();
    const int64_t length = int64_t(options.depth) + options.prompt + options.tokens;
    SH_CHECK(length <= config.max_position_embeddings, kUsage,
             "--depth {}, --prompt {} and --tokens {} do not fit the context of {}", options.depth,
             options.prompt, options.tokens, config.max_position_embeddings);
    SH_CHECK(options.depth + options.prompt > 0, kUsage, "--prompt 0: only after a --depth");
    const CacheFormat cache = options.engine.cache;
    PagePool pool(config, cache_bytes(config, length, /*drafts=*/false, cache), /*drafts=*/false,
                  cache);
    for (int r = -1; r < options.repeats; ++r) {  // the first one warms up
      Sequence sequence(pool,
                        random_prompt(config, options.depth + options.prompt, uint64_t(r + 2)));
      fill(sequence, config.num_hidden_layers, options.depth);
      const double read = seconds([&] {
        while (sequence.pending() > 0)
          logits = decoder.forward(sequence,
                                   std::min(prompt_chunk(sequence.read()), sequence.pending()), 1);
      });
      const double decoded = seconds([&] {
        for (int i = 0; i < options.tokens; ++i) {
          const int best =
              logits.empty() ? 0
                             : int(std::max_element(logits.begin(), logits.end()) - logits.begin());
          sequence.append({&best, 1});
          logits = decoder.forward(sequence, 1, 1);
        }
      });
      if (r < 0) continue;
      prefill.push_back(options.prompt / read);
      decode_rate.push_back(options.tokens / decoded);
    }
  }

  std::unique_ptr<Weights> weights;
  Decoder decoder;
  std::span<const float> logits;
  std::vector<double> prefill, decode_rate;  // tokens/s
};

void bench_decode(const DecodeOptions& options) {
  const Decoding run(options);
  const int64_t cached = int64_t(options.depth) + options.prompt + options.tokens;
  const double bytes = double(run.weights->bytes_per_token());
  const double bandwidth = measure_bandwidth_gb_s(), tokens_per_s = median(run.decode_rate);
  Json figures = {
      {"tokens_per_s", tokens_per_s},
      {"bytes_per_token", bytes},
      {"depth", options.depth},
      {"cache", cache_format_name(options.engine.cache)},
      {"cache_bytes", cached * kv_bytes_per_token(run.weights->config(),
                                                  /*drafts=*/false, options.engine.cache)},
      {"bandwidth_gb_s", bandwidth},
      {"share", tokens_per_s * bytes / 1e9 / bandwidth},
      {"prefill_tokens_per_s", median(run.prefill)}};
  // Drafts are measured on what the model is for, so it has to have more than weights.
  const fs::path model = find_model(options.model);
  const bool able = run.weights->config().num_nextn_predict_layers > 0 &&
                    (!fs::is_directory(model) || fs::exists(model / "tokenizer.json"));
  const bool drafts = options.engine.drafts > 0 || (options.engine.drafts == kAutoDrafts && able);
  if (drafts) figures["drafts"] = bench_drafts(model, options.engine, options.repeats);
  const Json rows = figures.value("drafts", Json::array());
  if (!options.json) figures.erase("drafts");
  print_with_machine(figures, options.json);
  if (drafts && !options.json) print_drafts(rows);
}

// The share is of the float products' ceiling, which integer formats may pass.
void bench_prefill(const DecodeOptions& options) {
  const Decoding run(options);
  const double tokens_per_s = median(run.prefill);
  const double gflops =
      tokens_per_s * forward_flop_per_token(run.weights->config(), options.prompt) / 1e9;
  const double ceiling = measure_gemm_ceiling_gflops(thread_count());
  print_with_machine({{"tokens_per_s", tokens_per_s},
                      {"gflops", gflops},
                      {"ceiling_gflops", ceiling},
                      {"share", gflops / ceiling}},
                     options.json);
}

}  // namespace

void add_bench(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("bench", "speeds beside this machine's measured ceilings");
  verb->require_subcommand(1);
  verb->footer(
      "Examples:\n  shenhong bench train --model models/shenhong-mini --json\n  shenhong bench "
      "decode --depth 32768 --prompt 0 --tokens 8\n  shenhong bench serve --clients 16");

  auto train = std::make_shared<TrainOptions>();
  CLI::App* train_verb = verb->add_subcommand("train", "training steps on random tokens");
  train_verb
      ->add_option("--model", train->model, "directory with a config.json; weights are not read")
      ->required();
  train_verb->add_option("--batch", train->batch, "sequences per step")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  train_verb->add_option("--seq-len", train->seq_len, "tokens per sequence")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  train_verb->add_option("--steps", train->steps, "timed steps; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  train_verb->add_flag("--json", train->json, "print one JSON object");
  train_verb->callback([train] { bench_train(*train); });

  const auto add_decoding = [&](const char* name, const char* text, int prompt, bool drafts,
                                void (*run)(const DecodeOptions&)) {
    auto options = std::make_shared<DecodeOptions>();
    options->prompt = prompt;
    CLI::App* sub = verb->add_subcommand(name, text);
    add_model_option(*sub, options->model);
    sub->add_option("--depth", options->depth,
                    "tokens that the cache holds before the prompt, of random content")
        ->check(CLI::Range(0, 1 << 24))
        ->capture_default_str();
    sub->add_option("--prompt", options->prompt, "prompt tokens; 0 only after a --depth")
        ->check(CLI::Range(0, 1 << 20))
        ->capture_default_str();
    sub->add_option("--tokens", options->tokens, "decoded tokens")
        ->check(CLI::Range(1, 1 << 20))
        ->capture_default_str();
    sub->add_option("--repeats", options->repeats, "runs; the median counts")
        ->check(CLI::Range(1, 100))
        ->capture_default_str();
    add_cache_option(*sub, options->engine.cache);
    if (drafts) add_drafts_option(*sub, options->engine.drafts);
    sub->add_flag("--json", options->json, "print one JSON object");
    sub->callback([options, run] { run(*options); });
  };
  add_decoding("decode", "decoding one sequence, beside the memory's bandwidth", 128, true,
               bench_decode);
  add_decoding("prefill", "reading a prompt, beside the float products' ceiling", 256, false,
               bench_prefill);
  add_bench_serve(*verb);
}

}  // namespace shenhong
