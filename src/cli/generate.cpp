// shenhong generate PROMPT: one answer, streamed to standard output, or one JSON object.
#include <CLI/CLI.hpp>

#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>

#include "cli/cache_option.h"
#include "cli/drafts_option.h"
#include "cli/grounding_options.h"
#include "cli/model_option.h"
#include "cli/sampling_options.h"
#include "cli/verbs.h"
#include "grounding/grounded_answer.h"

namespace shenhong {
namespace {

struct Options {
  std::string model, prompt, system;
  bool raw = false, json = false;
  int max_tokens = 0;
  EngineOptions engine = {.drafts = kAutoDrafts};
  std::vector<std::string> stop;
  SamplingOptions sampling;
  GroundingFlags grounding;
};

// The conversation to be answered; with --raw, the text as one message.
std::vector<Message> conversation(const Options& options) {
  std::string text = options.prompt;
  if (text == "-") text.assign(std::istreambuf_iterator<char>(std::cin), {});
  SH_CHECK(!text.empty(), kUsage,
           "the prompt is empty; give some text, or - to read it from standard input");
  std::vector<Message> messages;
  if (!options.system.empty()) messages.push_back({"system", options.system});
  messages.push_back({"user", text});
  return messages;
}

void print_json(const GroundedAnswer& result, uint64_t seed, Graph* graph, GroundingMode mode) {
  Json out = {{"text", result.text},
              {"prompt_tokens", result.prompt_tokens},
              {"completion_tokens", result.tokens.size()},
              {"finish_reason", finish_name(result.finish)},
              {"tokens_per_s", result.tokens_per_s()},
              {"drafted_tokens", result.drafts.all_made()},
              {"accepted_tokens", result.drafts.all_accepted()},
              {"seed", seed},
              {"prefill_s", result.prefill_s},
              {"decode_s", result.decode_s},
              {"tokens", result.tokens}};
  if (graph) {
    out["annotations"] = annotations_json(*graph, result);
    out["grounding"] = grounding_json(*graph, result, mode);
  }
  std::puts(dump_json(out).c_str());
}

void generate(const Options& options) {
  Engine engine(find_model(options.model), options.engine);
  const std::unique_ptr<Graph> graph = options.raw ? nullptr : options.grounding.open(engine);
  const GroundingOptions grounding = options.grounding.options();
  GenerateRequest request;
  request.max_tokens = options.max_tokens;
  request.sampling = options.sampling.resolve(engine.default_sampling());
  request.stop = options.stop;
  const auto print_piece = [](std::string_view piece) {
    std::fwrite(piece.data(), 1, piece.size(), stdout);
    std::fflush(stdout);
    return true;
  };
  const OnPiece on_piece = options.json ? OnPiece() : OnPiece(print_piece);
  GroundedAnswer result;
  const std::vector<Message> messages = conversation(options);
  if (options.raw) {
    request.prompt = engine.text_prompt(messages.back().content);
    static_cast<GenerateResult&>(result) = engine.generate(request, on_piece);
  } else {
    result = answer_grounded(engine, graph.get(), messages, request, grounding, on_piece);
  }
  if (options.json) return print_json(result, request.sampling.seed, graph.get(), grounding.mode);
  std::puts("");
  if (isatty(STDERR_FILENO))
    fmt::print(stderr, "[{} tokens, {:.0f} tokens/s, {}, seed {}]\n", result.tokens.size(),
               result.tokens_per_s(), finish_name(result.finish), request.sampling.seed);
}

}  // namespace

void add_generate(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("generate", "one answer to one prompt");
  verb->add_option("prompt", options->prompt, "the prompt; - reads it from standard input")
      ->required();
  add_model_option(*verb, options->model);
  verb->add_flag("--raw", options->raw,
                 "go on with the text itself instead of answering it as a chat message");
  verb->add_option("--system", options->system, "system text of the chat")->excludes("--raw");
  verb->add_option("--max-tokens", options->max_tokens,
                   "longest answer; 0: until the context is full");
  verb->add_option("--stop", options->stop, "end before this text; may be given several times")
      ->allow_extra_args(false);
  verb->add_flag("--json", options->json, "print one JSON object at the end instead of streaming");
  add_cache_option(*verb, options->engine.cache);
  add_drafts_option(*verb, options->engine.drafts);
  options->sampling.add_to(*verb);
  options->grounding.add_to(*verb);
  verb->footer(
      "Examples:\n"
      "  shenhong generate '写一首七言绝句，题目是秋夜'\n"
      "  shenhong generate --raw --temperature 0 '床前明月光' --json");
  verb->callback([options] { generate(*options); });
}

}  // namespace shenhong
