// shenhong serve: the chat page and OpenAI's API on one address.
#include <CLI/CLI.hpp>

#include <spawn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "cli/cache_option.h"
#include "cli/drafts_option.h"
#include "cli/grounding_options.h"
#include "cli/model_option.h"
#include "cli/verbs.h"
#include "core/error.h"
#include "core/json.h"
#include "serve/host_check.h"
#include "serve/server.h"

namespace shenhong {
namespace {

struct Options {
  std::string model;
  bool open = false, json = false;
  int drain_seconds = 30;
  int64_t cache_mib = EngineOptions().cache_bytes >> 20;
  ServeOptions serve;
  GroundingFlags grounding;
};

// Without a desktop xdg-open would start a text browser in our terminal.
void open_in_browser(std::string url) {
  if (!std::getenv("DISPLAY") && !std::getenv("WAYLAND_DISPLAY")) return;
  std::string program = "xdg-open";
  char* const arguments[] = {program.data(), url.data(), nullptr};
  pid_t child;
  ::posix_spawnp(&child, program.c_str(), nullptr, nullptr, arguments, environ);
}

void run(Options& options) {
  options.serve.model = find_model(options.model);
  options.serve.engine.cache_bytes = options.cache_mib << 20;
  options.serve.open_graph = [&](const Engine& engine) { return options.grounding.open(engine); };
  options.serve.grounding = options.grounding.options();
  options.serve.http.drain_time = std::chrono::seconds(options.drain_seconds);
  if (!is_loopback(options.serve.http.host) && options.serve.service.api_key.empty()) {
    fmt::print(stderr,
               "shenhong: {} can be reached by others and asks for no key; set --api-key, or use "
               "--host 127.0.0.1\n",
               options.serve.http.host);
  }
  serve(options.serve, [&](const std::string& url, const Engine& engine) {
    if (options.json) {
      const Json ready = {{"url", url},
                          {"api", url + "v1"},
                          {"pid", ::getpid()},
                          {"cache", cache_format_name(engine.cache_format())},
                          {"cache_tokens", engine.cache_tokens()}};
      std::puts(dump_json(ready).c_str());
    } else {
      fmt::print("深红已就绪 Shenhong is ready: {}   (Ctrl-C 退出 quits)\n", url);
      fmt::print(
          "缓存可容 {0} 个词元，同时回答 {1} 人  the cache holds {0} tokens, up to {1} answers at "
          "a time\n",
          engine.cache_tokens(), options.serve.service.parallel);
    }
    std::fflush(stdout);
    if (options.open) open_in_browser(url);
  });
}

}  // namespace

void add_serve(CLI::App& app) {
  auto options = std::make_shared<Options>();
  HttpOptions& http = options->serve.http;
  ServiceOptions& service = options->serve.service;
  CLI::App* verb = app.add_subcommand("serve", "the chat page and OpenAI's API on one address");
  add_model_option(*verb, options->model);
  verb->add_option("--host", http.host, "address to listen on; 0.0.0.0: all of this machine's")
      ->envname("SHENHONG_HOST")
      ->capture_default_str();
  verb->add_option("--port", http.port, "port; 0: any free one")
      ->envname("SHENHONG_PORT")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  verb->add_option("--api-key", service.api_key,
                   "clients must send it as Authorization: Bearer KEY")
      ->envname("SHENHONG_API_KEY");
  options->serve.engine.drafts = kAutoDrafts;
  add_drafts_option(*verb, options->serve.engine.drafts);
  options->grounding.add_to(*verb);
  verb->add_option("--alias", service.alias, "a second model name that requests may use");
  verb->add_option("--parallel", service.parallel, "answers that are made at the same time")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  verb->add_option("--cache-mib", options->cache_mib,
                   "memory for what the answers together have read, MiB; taken as it is needed")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 24))
      ->capture_default_str();
  add_cache_option(*verb, options->serve.engine.cache);
  verb->add_option("--queue", service.max_waiting, "requests that may wait for their turn")
      ->check(CLI::Range(0, 100000))
      ->capture_default_str();
  verb->add_option("--drain", options->drain_seconds,
                   "seconds that running answers get to finish after SIGTERM or Ctrl-C")
      ->check(CLI::Range(0, 3600))
      ->capture_default_str();
  verb->add_flag("--open", options->open, "open the page in the desktop's browser");
  verb->add_flag("--json", options->json, "say that it is ready as one JSON object");
  verb->footer(
      "Examples:\n"
      "  shenhong serve --open\n"
      "  shenhong serve --model models/mini --port 8021\n"
      "  curl http://127.0.0.1:8020/v1/chat/completions -d "
      "'{\"messages\":[{\"role\":\"user\",\"content\":\"写一首五言绝句\"}]}'");
  verb->callback([options] { run(*options); });
}

}  // namespace shenhong
