// Time to loss: a model from nothing against the clock, on the complete Tang poems (npm's
// chinese-poetry).
//   bench_time_to_loss SETTINGS.toml POEMS_DIR [--seconds 300] [--seed 1]
// One token is one character, a line's end or a poem's end; the vocabulary is these, an unknown and
// the most frequent characters of the training poems; every fiftieth poem is held out. Batches are
// windows at random places of the training poems, one after the other. The clock runs while the
// model trains and stops while it is validated, on all held-out windows, each from an empty
// context. The rate follows the clock. Prints one JSON object per mark.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <map>
#include <numeric>

#include "core/error.h"
#include "core/file.h"
#include "core/random.h"
#include "formats/toml.h"
#include "model/cost.h"
#include "model/model.h"
#include "text/utf8.h"
#include "train/balance.h"
#include "train/optimizer.h"
#include "train/schedule.h"

using namespace shenhong;

namespace {

constexpr int kEnd = 0, kUnknown = 1, kNewLine = 2, kFirstCharacter = 3;
constexpr int kHeldOut = 50;  // one poem of so many
const std::vector<double> kMarks = {30, 60, 120, 300, 600};

struct Run {
  int batch = 4, seq_len = 128;
  double mtp_weight = 0.3;
  ScheduleConfig schedule;

  template <class Visit>
  void fields(Visit&& v) {
    v("batch", batch, "sequences per step");
    v("seq_len", seq_len, "tokens per sequence");
    v("mtp_weight", mtp_weight, "weight of the multi-token-prediction losses");
    v("schedule", schedule, "its steps are thousandths of the time");
  }
};

struct Poems {
  std::vector<int> training, held_out;
};

std::u32string code_points(std::string_view text) {
  std::u32string characters;
  for (size_t at = 0; at < text.size();) {
    const CodePoint next = code_point_at(text, at);
    characters += next.value;
    at += size_t(next.bytes);
  }
  return characters;
}

Poems read_poems(const fs::path& directory, int vocab_size) {
  std::vector<std::u32string> poems;
  for (int file = 0;; file += 1000) {
    const fs::path path = directory / fmt::format("poet.tang.{}.json", file);
    if (!fs::exists(path)) break;
    for (const Json& poem : parse_json(read_file(path), path.string())) {
      std::string text;
      for (const Json& line : poem.at("paragraphs"))
        text += (text.empty() ? "" : "\n") + line.get<std::string>();
      if (const std::u32string characters = code_points(text);
          std::ranges::any_of(characters, [](char32_t c) { return c != U' ' && c != U'\n'; }))
        poems.push_back(characters);
    }
  }
  SH_CHECK(poems.size() >= kHeldOut, kBadInput, "{}: {} poems; want poet.tang.0.json and so on",
           directory.string(), poems.size());
  const auto is_held_out = [](size_t poem) { return poem % kHeldOut == kHeldOut - 1; };
  std::map<char32_t, int64_t> count;
  for (size_t p = 0; p < poems.size(); ++p)
    if (!is_held_out(p))
      for (const char32_t c : poems[p]) ++count[c];
  count.erase(U'\n');
  std::vector<std::pair<int64_t, char32_t>> order;
  for (const auto& [c, times] : count) order.emplace_back(-times, c);
  std::ranges::sort(order);
  order.resize(std::min(order.size(), size_t(vocab_size - kFirstCharacter)));
  std::map<char32_t, int> ids = {{U'\n', kNewLine}};
  for (size_t i = 0; i < order.size(); ++i) ids[order[i].second] = kFirstCharacter + int(i);
  Poems out;
  for (size_t p = 0; p < poems.size(); ++p) {
    std::vector<int>& stream = is_held_out(p) ? out.held_out : out.training;
    for (const char32_t c : poems[p]) {
      const auto id = ids.find(c);
      stream.push_back(id == ids.end() ? kUnknown : id->second);
    }
    stream.push_back(kEnd);
  }
  return out;
}

// Windows of T + P + 1 tokens of `stream` from each of `starts`; past its end there is nothing to
// learn.
Batch windows(const std::vector<int>& stream, std::span<const int64_t> starts, int T, int P) {
  Batch batch{int(starts.size()), T, {}, {}};
  for (const int64_t start : starts)
    for (int64_t i = start; i < start + T + P; ++i) {
      const auto at = [&](int64_t place) { return place < int64_t(stream.size()); };
      batch.tokens.push_back(at(i) ? stream[size_t(i)] : kEnd);
      batch.targets.push_back(at(i + 1) ? stream[size_t(i + 1)] : Batch::kIgnore);
    }
  return batch;
}

// Nats per token over whole windows of T.
double validate(Model<float>& model, const std::vector<int>& stream, int T) {
  constexpr int64_t kRows = 16;
  const int64_t count = (int64_t(stream.size()) - 1) / T;
  double nats = 0;
  int64_t tokens = 0;
  for (int64_t first = 0; first < count; first += kRows) {
    std::vector<int64_t> starts;
    for (int64_t w = first; w < std::min(count, first + kRows); ++w) starts.push_back(w * T);
    const LossSums sums =
        model.evaluate(windows(stream, starts, T, model.config().num_nextn_predict_layers));
    nats += sums.nats[0];
    tokens += sums.counts[0];
  }
  return nats / double(tokens);
}

void run(const fs::path& settings, const fs::path& poems_directory, double budget, uint64_t seed) {
  const Json json = read_toml(settings);
  ModelConfig shape;
  Run how;
  OptimizerConfig optimizing;
  BalanceConfig balancing;
  const auto read = [&](const char* section, auto& into) {
    if (json.contains(section))
      fields_from_json(into, json[section], fmt::format("{} [{}]", settings.string(), section));
  };
  read("model", shape);
  read("run", how);
  read("optimizer", optimizing);
  read("balance", balancing);
  shape.validate(settings.string() + " [model]");
  optimizing.validate(settings.string() + " [optimizer]");
  balancing.validate(settings.string() + " [balance]", shape);

  const Poems poems = read_poems(poems_directory, shape.vocab_size);
  Model<float> model(shape);
  model.initialize(seed);
  model.allocate_gradients();
  std::vector<Parameter<float>*> parameters;
  model.for_each_parameter([&](Parameter<float>& p) { parameters.push_back(&p); });
  Optimizer optimizer(optimizing, parameters);
  Balancer balancer(balancing, shape);
  const int T = how.seq_len, P = shape.num_nextn_predict_layers;
  const double tokens_per_step = double(how.batch) * T;
  fmt::print("{}\n", dump_json({{"parameters", model.parameter_count()},
                                {"training_tokens", poems.training.size()},
                                {"held_out_tokens", poems.held_out.size()},
                                {"mflop_per_token", training_flop_per_token(shape, T) / 1e6}}));

  constexpr int64_t kParts = 1000;
  double clock = 0, loss = 0;
  auto mark = kMarks.begin();
  for (int64_t step = 0;; ++step) {
    const bool over = clock >= budget;
    if (over || (mark != kMarks.end() && clock >= *mark)) {
      fmt::print("{}\n", dump_json({{"seconds", clock},
                                    {"step", step},
                                    {"tokens", double(step) * tokens_per_step},
                                    {"tokens_per_s", double(step) * tokens_per_step / clock},
                                    {"training_loss", loss},
                                    {"held_out_nats", validate(model, poems.held_out, T)}}));
      std::fflush(stdout);
      if (over) return;
      ++mark;
    }
    const auto start = std::chrono::steady_clock::now();
    std::vector<int64_t> starts;
    for (int b = 0; b < how.batch; ++b)
      starts.push_back(
          int64_t(uniform_below(uint64_t(int64_t(poems.training.size()) - T - P - 1), seed,
                                fnv1a("window"), uint64_t(step * how.batch + b))));
    const Batch batch = windows(poems.training, starts, T, P);
    model.zero_gradients();
    model.clear_router_loads();
    const LossSums sums = model.forward_backward(batch, 1 / tokens_per_step,
                                                 P > 0 ? how.mtp_weight / P / tokens_per_step : 0);
    const double now = sums.nats[0] / tokens_per_step;
    loss = step == 0 ? now : 0.95 * loss + 0.05 * now;
    balancer.observe(model.routers());
    const auto part = std::min(kParts - 1, int64_t(clock / budget * double(kParts)));
    optimizer.step(learning_rate(how.schedule, part, kParts),
                   optimizer.clip_scale(optimizer.gradient_norm()));
    balancer.update(model.routers());
    clock += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("time to loss on the Tang poems");
  std::string settings, poems;
  double seconds = 300;
  uint64_t seed = 1;
  app.add_option("settings", settings, "TOML: [model] [run] [optimizer] [balance]")->required();
  app.add_option("poems", poems, "folder of poet.tang.*.json")->required();
  app.add_option("--seconds", seconds, "of training")->check(CLI::Range(1., 1e6));
  app.add_option("--seed", seed, "of weights and windows");
  CLI11_PARSE(app, argc, argv);
  try {
    run(settings, poems, seconds, seed);
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return int(error.code());
  }
}
