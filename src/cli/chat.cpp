// shenhong chat: a conversation in the terminal. Ctrl-C stops the answer, not the program.
#include <CLI/CLI.hpp>

#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>

#include "cli/cache_option.h"
#include "cli/drafts_option.h"
#include "cli/grounding_options.h"
#include "cli/line_reader.h"
#include "cli/model_option.h"
#include "cli/sampling_options.h"
#include "cli/verbs.h"
#include "grounding/grounded_answer.h"
#include "grounding/lookup_text.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

constexpr const char* kHelp =
    "  /new            开始新的对话  start a new conversation\n"
    "  /system TEXT    设定系统提示  set the system text (empty: none), starts anew\n"
    "  /seed N         固定随机种子  fix the seed (empty: a fresh one each time)\n"
    "  /help           显示帮助      show this\n"
    "  /quit           退出          leave (also Ctrl-D)\n"
    "  Ctrl-C          停止当前回答  stop the answer\n";

volatile std::sig_atomic_t interrupted = 0;
void on_interrupt(int) { interrupted = 1; }

// While it lives, Ctrl-C sets `interrupted` and ends a blocking read.
class InterruptGuard {
 public:
  InterruptGuard() {
    struct sigaction action {};
    action.sa_handler = on_interrupt;
    sigaction(SIGINT, &action, &before_);
  }
  ~InterruptGuard() { sigaction(SIGINT, &before_, nullptr); }

 private:
  struct sigaction before_ {};
};

struct Options {
  std::string model, system;
  int max_tokens = 0;
  EngineOptions engine = {.drafts = kAutoDrafts};
  SamplingOptions sampling;
  GroundingFlags grounding;
};

class Chat {
 public:
  Chat(Engine& engine, Graph* graph, const Options& options)
      : engine_(engine),
        graph_(graph),
        grounding_(options.grounding.options()),
        sampling_(options.sampling.resolve(engine.default_sampling())),
        max_tokens_(options.max_tokens),
        fixed_seed_(options.sampling.fixes_seed()) {
    start(options.system);
  }

  void run();

 private:
  void start(const std::string& system);
  bool command(std::string_view line);  // false: leave
  void set_seed(std::string_view digits);
  void answer(const std::string& text);
  void fit_prompt();
  void print_citations(const GroundedAnswer& answer);

  Engine& engine_;
  Graph* graph_;
  GroundingOptions grounding_;
  SamplingConfig sampling_;
  int max_tokens_;
  bool fixed_seed_;
  std::string system_;
  std::vector<Message> messages_;
};

void Chat::start(const std::string& system) {
  system_ = system;
  messages_.clear();
  if (!system_.empty()) messages_.push_back({"system", system_});
}

void Chat::run() {
  const bool terminal = isatty(STDIN_FILENO);
  if (terminal)
    fmt::print("深红 Shenhong · {} · /help 帮助 help · Ctrl-C 停止 stop · Ctrl-D 退出 quit\n",
               engine_.name());
  const InterruptGuard guard;
  LineReader reader;
  std::string line;
  for (;;) {
    if (terminal) fmt::print("\n> ");
    std::fflush(stdout);
    interrupted = 0;
    const LineReader::Got got = reader.read(line);
    if (got == LineReader::Got::kEnd) break;
    if (got == LineReader::Got::kInterrupted) {
      fmt::print("\n(/quit 退出 leave)");
      continue;
    }
    line = sanitise_utf8(line);
    if (line.empty()) continue;
    if (line.front() != '/')
      answer(line);
    else if (!command(line))
      break;
  }
  if (terminal) fmt::print("\n");
}

bool Chat::command(std::string_view line) {
  const size_t space = std::min(line.find(' '), line.size());
  const std::string_view name = line.substr(0, space);
  std::string_view rest = line.substr(space);
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  if (name == "/quit" || name == "/exit") return false;
  if (name == "/new") {
    start(system_);
    fmt::print("(新的对话 new conversation)\n");
  } else if (name == "/system") {
    start(std::string(rest));
    fmt::print("({})\n",
               system_.empty() ? "无系统提示 no system text" : "系统提示已设定 system text set");
  } else if (name == "/seed") {
    set_seed(rest);
  } else {
    if (name != "/help") fmt::print("(没有这个命令 no such command: {})\n", name);
    fmt::print("{}", kHelp);
  }
  return true;
}

void Chat::set_seed(std::string_view digits) {
  fixed_seed_ = !digits.empty();
  if (!fixed_seed_) return fmt::print("(每次换新种子 a fresh seed each time)\n");
  const char* end = digits.data() + digits.size();
  const auto [stopped, error] = std::from_chars(digits.data(), end, sampling_.seed);
  fixed_seed_ = error == std::errc() && stopped == end;
  if (fixed_seed_) {
    fmt::print("(种子 seed {})\n", sampling_.seed);
  } else {
    fmt::print("(种子应为整数 want a number, as in /seed 42)\n");
  }
}

// When the conversation has outgrown the context the oldest turns go, and we say so.
void Chat::fit_prompt() {
  const size_t first = system_.empty() ? 0 : 1;
  const size_t room = size_t(engine_.context_tokens()) * 3 / 4;  // the rest is for the answer
  bool dropped = false;
  std::vector<int> prompt = engine_.chat_prompt(messages_);
  while (prompt.size() > room && messages_.size() > first + 2) {
    messages_.erase(messages_.begin() + ptrdiff_t(first), messages_.begin() + ptrdiff_t(first) + 2);
    prompt = engine_.chat_prompt(messages_);
    dropped = true;
  }
  if (dropped)
    fmt::print(
        "(上下文 {0} 个词元已满，最早的几轮不再计入 the context of {0} tokens is full: the oldest "
        "turns are left out)\n",
        engine_.context_tokens());
}

// What each [n] of the answer stands for.
void Chat::print_citations(const GroundedAnswer& answer) {
  for (size_t i = 0; i < answer.trace.citations.size(); ++i) {
    const CitedFact& cited = answer.trace.citations[i];
    if (cited.end > answer.text.size()) break;
    const Source source = graph_->store.source(cited.fact.source);
    fmt::print("  [{}] {} · {} · {} — {}\n", i + 1, cited.subject, cited.relation, cited.object,
               shown_value(source.name));
  }
}

void Chat::answer(const std::string& text) {
  messages_.push_back({"user", text});
  GenerateRequest request;
  try {
    fit_prompt();
    request.max_tokens = max_tokens_;
    if (!fixed_seed_) sampling_.seed = random_seed();
    request.sampling = sampling_;
    const GroundedAnswer result = answer_grounded(
        engine_, graph_, messages_, request, grounding_, [](std::string_view piece) {
          std::fwrite(piece.data(), 1, piece.size(), stdout);
          std::fflush(stdout);
          return interrupted == 0;
        });
    messages_.push_back({"assistant", result.text});
    if (result.finish == Finish::kCancelled) fmt::print(" (已停止 stopped)");
    if (result.finish == Finish::kLength) fmt::print(" (到长度上限 length limit)");
    fmt::print("\n");
    print_citations(result);
  } catch (const Error& e) {
    // A message that the model cannot take is no reason to lose the conversation.
    if (e.code() != Exit::kUsage) throw;
    messages_.pop_back();
    fmt::print("({})\n", e.what());
  }
}

}  // namespace

void add_chat(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("chat", "a conversation in the terminal");
  add_model_option(*verb, options->model);
  verb->add_option("--system", options->system, "system text");
  verb->add_option("--max-tokens", options->max_tokens,
                   "longest answer; 0: until the context is full");
  add_cache_option(*verb, options->engine.cache);
  add_drafts_option(*verb, options->engine.drafts);
  options->sampling.add_to(*verb);
  options->grounding.add_to(*verb);
  verb->footer(
      "Examples:\n"
      "  shenhong chat\n"
      "  shenhong chat --model models/mini --temperature 0.7 --seed 42");
  verb->callback([options] {
    Engine engine(find_model(options->model), options->engine);
    const std::unique_ptr<Graph> graph = options->grounding.open(engine);
    Chat(engine, graph.get(), *options).run();
  });
}

}  // namespace shenhong
