// shenhong quantize DIR OUT: a model in another number format, and what that costs.
#include <CLI/CLI.hpp>

#include <cstdio>
#include <memory>

#include "cli/evaluate.h"
#include "cli/verbs.h"
#include "infer/weights.h"
#include "model/quantize_directory.h"

namespace shenhong {
namespace {

struct Options {
  std::string in, out, format, data;
  int64_t windows = 20;
  bool json = false;
};

Json sizes(const fs::path& directory) {
  const std::unique_ptr<Weights> weights = load_weights(directory);
  return {{"file_bytes", fs::file_size(directory / "model.safetensors")},
          {"weight_bytes", weights->bytes()},
          {"weight_bytes_per_token", weights->bytes_per_token()}};
}

void quantize_model(const Options& options) {
  quantize_directory(options.in, options.out, parse_recipe(options.format));
  Json result = {{"format", options.format}, {"sizes", sizes(options.out)}};
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
  verb->add_option("--windows", options->windows, "windows per source")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  verb->add_flag("--json", options->json, "print one JSON object");
  verb->footer(
      "Example:\n  shenhong quantize models/shenhong-mini mini-mix --format mix --data data/mini");
  verb->callback([options] { quantize_model(*options); });
}

}  // namespace shenhong
