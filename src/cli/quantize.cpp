// shenhong quantize DIR OUT: a model in another number format, and what that costs.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "cli/evaluate.h"
#include "cli/verbs.h"
#include "core/progress.h"
#include "infer/decoder.h"
#include "infer/score.h"
#include "infer/skip_calibration.h"
#include "infer/weights.h"
#include "model/quantize_directory.h"

namespace shenhong {
namespace {

struct Options {
  std::string in, out, format, data;
  double calibrate = 0;
  int64_t windows = 20;
  bool json = false;
};

Json sizes(const fs::path& directory) {
  const std::unique_ptr<Weights> weights = load_weights(directory);
  return {{"file_bytes", fs::file_size(directory / "model.safetensors")},
          {"weight_bytes", weights->bytes()},
          {"weight_bytes_per_token", weights->bytes_per_token()}};
}

// What a text costs with a table in force, and what it was spared.
SkippingTrial read_with(Weights& weights, const ExpertSkipping& table,
                        const std::vector<Windows>& text, int64_t windows) {
  weights.skip_experts(table);
  Decoder decoder(weights);
  const ModelConfig& config = weights.config();
  PagePool pool(config, cache_bytes(config, config.max_position_embeddings));
  const auto losses =
      validation_loss([&](const Batch& batch) { return score(decoder, pool, batch); },
                      config.num_nextn_predict_layers, text, windows);
  return {summed_loss(losses)["nats_per_token"], decoder.choices().all, decoder.choices().skipped};
}

// Writes the table for the share that was asked for into `directory`, and returns the frontier: of
// several shares what they cost on held-out text. The thresholds come from training text.
Json calibrate(const fs::path& directory, const Options& options) {
  const std::unique_ptr<Weights> weights = load_weights(directory);
  const ModelConfig& config = weights->config();
  SH_CHECK(config.first_k_dense_replace < config.num_hidden_layers && config.max_experts() > 1,
           kUsage, "--calibrate: {} has no layer in which a token takes more than one expert",
           options.in);
  constexpr int64_t kTrainingWindows = 1;  // per source
  const auto training = prepared_windows(config, options.in, options.data, "train");
  const auto held_out = prepared_windows(config, options.in, options.data, "valid");
  std::vector<double> shares = {0.1, 0.2, 0.3, 0.4, 0.5, options.calibrate};
  std::ranges::sort(shares);
  const auto end = std::ranges::unique(shares).begin();
  shares.erase(end, shares.end());
  Progress progress("calibrate", calibration_trials(config));
  int64_t done = 0;
  const auto tables = calibrate_skipping(config, shares, [&](const ExpertSkipping& table) {
    progress.update(++done);
    return read_with(*weights, table, training, kTrainingWindows);
  });
  progress.finish();
  const double plain =
      read_with(*weights, ExpertSkipping::none(config), held_out, options.windows).nats_per_token;
  Json frontier = Json::array();
  for (size_t i = 0; i < shares.size(); ++i) {
    const SkippingTrial read = read_with(*weights, tables[i], held_out, options.windows);
    ExpertSkipping table = tables[i];
    table.skipped = double(read.skipped) / double(std::max<int64_t>(1, read.chosen));
    frontier.push_back({{"asked", shares[i]},
                        {"skipped", table.skipped},
                        {"experts_per_token", config.mean_experts() * (1 - table.skipped)},
                        {"nats_per_token", read.nats_per_token},
                        {"relative", read.nats_per_token / plain - 1}});
    if (shares[i] == options.calibrate)
      write_file(directory / kExpertSkippingFile, dump_json(to_json(table)) + "\n");
  }
  return frontier;
}

void print_frontier(const Json& frontier, double asked) {
  fmt::print("experts skipped   experts per token   held-out loss\n");
  for (const Json& point : frontier)
    fmt::print("{:>13.1f} %   {:>17.2f}   {:.4f} nats {:+.2f} %{}\n",
               100 * point["skipped"].get<double>(), point["experts_per_token"].get<double>(),
               point["nats_per_token"].get<double>(), 100 * point["relative"].get<double>(),
               point["asked"].get<double>() == asked ? "   written" : "");
}

void quantize_model(const Options& options) {
  SH_CHECK(options.calibrate == 0 || !options.data.empty(), kUsage,
           "--calibrate wants text to read: --data, the output of `shenhong data`");
  quantize_directory(options.in, options.out, parse_recipe(options.format));
  Json result = {{"format", options.format}};
  if (options.calibrate > 0) result["frontier"] = calibrate(options.out, options);
  result["sizes"] = sizes(options.out);
  if (!options.data.empty()) {
    const Json before = evaluate_loss(options.in, options.data, options.windows);
    const Json after = evaluate_loss(options.out, options.data, options.windows);
    const double nats = before["nats_per_token"], now = after["nats_per_token"];
    result["loss"] = {{"nats_per_token_before", nats},
                      {"nats_per_token", now},
                      {"bits_per_byte", after["bits_per_byte"]},
                      {"tokens", after["tokens"]},
                      {"relative", now / nats - 1}};
  }
  if (options.json) {
    std::puts(dump_json(result).c_str());
    return;
  }
  const Json& size = result["sizes"];
  fmt::print("{}: {}, {:.1f} MB, {:.2f} MB of weights read per decoded token\n", options.out,
             options.format, size["file_bytes"].get<double>() / 1e6,
             size["weight_bytes_per_token"].get<double>() / 1e6);
  if (result.contains("frontier")) print_frontier(result["frontier"], options.calibrate);
  if (!result.contains("loss")) {
    fmt::print("what it costs: shenhong eval loss --model {} --data DATA, or --data here\n",
               options.out);
    return;
  }
  const Json& loss = result["loss"];
  fmt::print("held-out loss {:.4f} nats per token, {:.4f} before: {:+.2f} % over {} tokens\n",
             loss["nats_per_token"].get<double>(), loss["nats_per_token_before"].get<double>(),
             100 * loss["relative"].get<double>(), loss["tokens"].get<int64_t>());
}

}  // namespace

void add_quantize(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("quantize", "a model in a smaller number format");
  verb->add_option("model", options->in, "model directory")->required();
  verb->add_option("out", options->out, "directory to write; must not exist")->required();
  verb->add_option("--format", options->format,
                   "bf16, fp8 (DeepSeek-V3's 128×128 blocks), int8, int4 (blocks of 32), nvfp4, "
                   "mxfp4, mix (nvfp4 experts, int8 elsewhere)")
      ->required();
  verb->add_option("--data", options->data,
                   "output of `shenhong data`: the loss on its held-out text, before and after");
  verb->add_option(
          "--calibrate", options->calibrate,
          "share of the routed experts that tokens shall do without; writes which, by layer "
          "and rank, and prints what several shares cost; wants --data")
      ->check(CLI::Range(0.01, 0.9));
  verb->add_option("--windows", options->windows, "windows per source")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  verb->add_flag("--json", options->json, "print one JSON object");
  verb->footer(
      "Example:\n  shenhong quantize models/shenhong-mini mini-mix --format mix --data data/mini\n"
      "  shenhong quantize models/shenhong-mini mini-fewer --format bf16 --calibrate 0.25 --data "
      "data/mini");
  verb->callback([options] { quantize_model(*options); });
}

}  // namespace shenhong
