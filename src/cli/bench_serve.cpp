// shenhong bench serve: what many clients get who ask at the same time, beside one who asks alone.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <memory>

#include "cli/bench.h"
#include "cli/cache_option.h"
#include "cli/model_option.h"
#include "core/error.h"
#include "core/parallel.h"
#include "infer/engine.h"
#include "infer/sampler.h"
#include "infer/scheduler.h"
#include "infer/weights.h"
#include "kernels/kernels.h"

namespace shenhong {
namespace {

struct Options {
  std::string model;
  int clients = 16, requests = 4, prompt = 64, tokens = 64;
  int64_t cache_mib = EngineOptions().cache_bytes >> 20;
  CacheFormat cache = EngineOptions().cache;
  bool json = false;
};

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Asks for so many tokens, drawn with the default sampling, and notes when they come.
class Request : public Continuation {
 public:
  Request(PagePool& pool, std::vector<int> prompt, int tokens, uint64_t seed)
      : Continuation(pool, std::move(prompt)),
        left_(tokens),
        sampler_({.seed = seed}, size_t(sequence.prompt_tokens())) {}

  bool go_on(std::span<const float> logits) override {
    if (sequence.size() == sequence.prompt_tokens()) first_token_s = seconds_since(start_);
    const int id = sampler_.sample(logits, sequence.tokens());
    sequence.append({&id, 1});
    if (--left_ > 0) return true;
    latency_s = seconds_since(start_);
    return false;
  }

  double first_token_s = 0, latency_s = 0;

 private:
  const Clock::time_point start_ = Clock::now();
  int left_;
  Sampler sampler_;
};

double percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, size_t(share * double(values.size())))];
}

// `clients` of them, each with its next request as soon as it has its answer.
Json serve_clients(const Weights& weights, const Options& options, int clients) {
  Decoder decoder(weights);
  PagePool pool(weights.config(), options.cache_mib << 20, /*drafts=*/false, options.cache);
  Scheduler scheduler(decoder);
  std::vector<std::unique_ptr<Request>> asked;
  const size_t total = size_t(clients) * size_t(options.requests);
  const auto ask = [&] {
    const uint64_t seed = asked.size() + 1;
    asked.push_back(std::make_unique<Request>(
        pool, random_prompt(weights.config(), options.prompt, seed), options.tokens, seed));
    scheduler.add(*asked.back());
  };
  const Clock::time_point start = Clock::now();
  for (int i = 0; i < clients; ++i) ask();
  while (!scheduler.idle()) {
    for (const Continuation* ended : scheduler.step()) {
      if (ended->error) std::rethrow_exception(ended->error);
      if (asked.size() < total) ask();
    }
  }
  const double elapsed = seconds_since(start);
  std::vector<double> latency, first;
  for (const auto& request : asked) {
    latency.push_back(request->latency_s);
    first.push_back(request->first_token_s);
  }
  return {{"clients", clients},
          {"tokens_per_s", double(total) * options.tokens / elapsed},
          {"latency_s_p50", percentile(latency, 0.5)},
          {"latency_s_p95", percentile(latency, 0.95)},
          {"first_token_s_p50", percentile(first, 0.5)},
          {"first_token_s_p95", percentile(first, 0.95)}};
}

void bench_serve(const Options& options) {
  const std::unique_ptr<Weights> weights = load_weights(find_model(options.model));
  const int context = weights->config().max_position_embeddings;
  SH_CHECK(options.prompt + options.tokens <= context, kUsage,
           "--prompt {} and --tokens {} do not fit the context of {}", options.prompt,
           options.tokens, context);
  Options warm_up = options;
  warm_up.requests = 1;
  serve_clients(*weights, warm_up, 1);
  const Json alone = serve_clients(*weights, options, 1);
  Json figures = serve_clients(*weights, options, options.clients);
  const double gain = double(figures["tokens_per_s"]) / double(alone["tokens_per_s"]);
  figures["alone"] = alone;
  figures["gain"] = gain;
  figures["cache"] = cache_format_name(options.cache);
  figures["threads"] = thread_count();
  figures["kernels"] = kernels<float>().name;
  print_figures(figures, options.json);
}

}  // namespace

void add_bench_serve(CLI::App& bench) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = bench.add_subcommand(
      "serve", "answers of many clients decoded together, beside one client alone");
  add_model_option(*verb, options->model);
  const auto count = [&](const char* name, int& value, const char* text) {
    verb->add_option(name, value, text)->check(CLI::Range(1, 1 << 20))->capture_default_str();
  };
  count("--clients", options->clients, "who ask at the same time");
  count("--requests", options->requests, "of each client, one after the other");
  count("--prompt", options->prompt, "prompt tokens, all different");
  count("--tokens", options->tokens, "tokens of an answer");
  verb->add_option("--cache-mib", options->cache_mib, "memory of the latent cache, MiB")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 24))
      ->capture_default_str();
  add_cache_option(*verb, options->cache);
  verb->add_flag("--json", options->json, "print one JSON object");
  verb->callback([options] { bench_serve(*options); });
}

}  // namespace shenhong
