// shenhong info DIR: what a model holds and costs.
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <memory>

#include "cli/model_option.h"
#include "cli/verbs.h"
#include "infer/engine.h"
#include "model/cost.h"
#include "model/model_directory.h"

namespace shenhong {
namespace {

constexpr int kSharing = 4;  // query heads to a key head, as grouped-query attention mostly has

// Per number format of the cache, what a token takes, what keys and values per head, and per
// kSharing heads, would take, and how many tokens serve's memory holds.
Json cache_table(const ModelConfig& config) {
  Json table = Json::object();
  for (const std::string_view name : kCacheFormatNames) {
    const CacheFormat format = *cache_format_named(name);
    if (!can_keep(config, format)) continue;
    const int64_t bytes = kv_bytes_per_token(config, /*drafts=*/false, format);
    const int64_t mha = mha_kv_bytes_per_token(config, format), H = config.num_attention_heads;
    Json& row = table[std::string(name)];
    row = {{"bytes_per_token", bytes},
           {"mha_bytes_per_token", mha},
           {"tokens", EngineOptions().cache_bytes / bytes}};
    if (!config.grouped_query.on())
      row["gqa_bytes_per_token"] = mha / H * ((H + kSharing - 1) / kSharing);
  }
  return table;
}

void print_info(const fs::path& model, bool as_json) {
  const ModelConfig config = read_model_config(model);
  const ModelCost cost = cost_of(config);
  const StoredBytes stored = stored_bytes(model);
  const Json json = {
      {"parameters_total", cost.parameters_total},
      {"parameters_active", cost.parameters_active},
      {"cache", cache_table(config)},
      {"weight_bytes", int64_t(stored.all)},
      {"weight_bytes_per_token", int64_t(stored.per_token)},
      {"forward_flop_per_token", forward_flop_per_token(config, config.max_position_embeddings)},
      {"training_flop_per_token", training_flop_per_token(config, config.max_position_embeddings)},
      {"mean_experts", config.mean_experts()},
      {"min_experts", config.min_experts()},
      {"max_experts", config.max_experts()},
      {"identity_experts", config.routing.identity_experts},
      {"context", config.max_position_embeddings}};
  if (as_json) {
    std::puts(dump_json(json).c_str());
    return;
  }
  const auto row = [](const char* name, const std::string& value) {
    fmt::print("{:34} {}\n", name, value);
  };
  row("parameters",
      fmt::format("{:.2f} M, {:.2f} M active per token", double(cost.parameters_total) / 1e6,
                  double(cost.parameters_active) / 1e6));
  row("layers, width, heads", fmt::format("{}, {}, {}", config.num_hidden_layers,
                                          config.hidden_size, config.num_attention_heads));
  const std::string how = config.by_threshold() ? "by threshold"
                                                : fmt::format("beside {} identity experts",
                                                              config.routing.identity_experts);
  const std::string per_token =
      config.experts_vary()
          ? fmt::format("{} on average per token ({} to {}, {})", config.mean_experts(),
                        config.min_experts(), config.max_experts(), how)
          : fmt::format("{} of them per token", config.num_experts_per_tok);
  if (config.first_k_dense_replace < config.num_hidden_layers)
    row("experts per layer", fmt::format("{} routed, {}, {} shared", config.n_routed_experts,
                                         per_token, config.n_shared_experts));
  if (const NgramMemoryConfig& memory = config.ngram_memory; memory.on())
    row("memory of n-grams",
        fmt::format("before layers {}: up to {} tokens, {} tables of {} rows of {}",
                    fmt::join(memory.layers, ", "), memory.max_order,
                    (memory.max_order - 1) * memory.heads, memory.rows, memory.head_dim));
  row("context", fmt::format("{} tokens", config.max_position_embeddings));
  row("weights read per decoded token",
      fmt::format("{:.1f} of {:.1f} MB as stored", stored.per_token / 1e6, stored.all / 1e6));
  row("forward at full context",
      fmt::format("{:.1f} MFLOP per token", double(json["forward_flop_per_token"]) / 1e6));
  const int kv_heads = config.grouped_query.num_key_value_heads;
  if (kv_heads == 0)
    row("training",
        fmt::format("{:.1f} MFLOP per token", double(json["training_flop_per_token"]) / 1e6));
  std::string name = kv_heads == 0 ? "latent cache" : fmt::format("cache of {} heads", kv_heads);
  for (const auto& [format, cache] : json["cache"].items()) {
    std::string others =
        fmt::format("keys and values per head: {}", cache["mha_bytes_per_token"].get<int64_t>());
    if (cache.contains("gqa_bytes_per_token"))
      others +=
          fmt::format(", per {} heads: {}", kSharing, cache["gqa_bytes_per_token"].get<int64_t>());
    row(name.c_str(),
        fmt::format("{:4}  {} bytes per token ({}); {} MiB hold {} tokens", format,
                    cache["bytes_per_token"].get<int64_t>(), others,
                    EngineOptions().cache_bytes >> 20, cache["tokens"].get<int64_t>()));
    name.clear();
  }
}

}  // namespace

void add_info(CLI::App& app) {
  struct Options {
    std::string model;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("info", "parameters, bytes and FLOP per token of a model");
  verb->add_option("model", options->model,
                   "model directory or .gguf file; default: the newest of ./models");
  verb->add_flag("--json", options->json, "print one JSON object");
  verb->footer("Example:\n  shenhong info models/shenhong-mini --json");
  verb->callback([options] { print_info(find_model(options->model), options->json); });
}

}  // namespace shenhong
