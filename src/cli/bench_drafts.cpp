// The second part of shenhong bench decode: what drafts bring on texts that the model is for,
// beside the same answers without them.
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "cli/bench.h"
#include "cli/grounding_options.h"
#include "grounding/grounded_answer.h"

namespace shenhong {
namespace {

struct Text {
  const char* name;
  std::vector<const char*> prompts;
};
const std::vector<Text>& texts() {
  static const std::vector<Text> all = {
      {"poem",
       {"写一首七言绝句，题目是秋夜", "写一首五言律诗，题目是春雨", "请写一首关于江南的七言律诗",
        "写一首五言绝句，题目是登山"}},
      {"look-up",
       {"静夜思的作者的朝代是什么？", "长城的修建原因是什么？",
        "Who is the author of Quiet Night Thoughts?", "长城的配偶是谁？"}},
  };
  return all;
}

// Decoding alone: what was read before the first token does not count.
struct Speed {
  int64_t tokens = 0;
  double seconds = 0;
  DraftCounts drafts;

  void add(const GenerateResult& result) {
    tokens += int64_t(result.tokens.size());
    seconds += result.decode_s;
    for (size_t d = 0; d < drafts.made.size(); ++d) {
      drafts.made[d] += result.drafts.made[d];
      drafts.accepted[d] += result.drafts.accepted[d];
    }
  }
  double rate() const { return double(tokens) / seconds; }
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// All prompts, each without and with drafts one right after the other.
Json compare(Engine& engine, Graph* graph, const Text& text, const SamplingConfig& sampling,
             int drafts, int repeats) {
  std::vector<double> plain_rates, rates, ratios;
  DraftCounts counts;
  for (int r = -1; r < repeats; ++r) {  // the first one warms up
    Speed plain, drafted;
    for (size_t i = 0; i < text.prompts.size(); ++i) {
      GenerateRequest request;
      request.sampling = sampling;
      request.sampling.seed = i + 1;
      const auto answer = [&](int wanted) {
        request.drafts = wanted;
        return answer_grounded(engine, graph, {{"user", text.prompts[i]}}, request, {});
      };
      const GroundedAnswer without = answer(0), with = answer(drafts);
      SH_ASSERT(without.tokens == with.tokens && without.text == with.text);
      plain.add(without);
      drafted.add(with);
    }
    if (r < 0) continue;
    plain_rates.push_back(plain.rate());
    rates.push_back(drafted.rate());
    ratios.push_back(drafted.rate() / plain.rate());
    counts = drafted.drafts;
  }
  Json acceptance = Json::array();
  for (size_t d = 0; d < counts.made.size() && counts.made[d] > 0; ++d)
    acceptance.push_back(double(counts.accepted[d]) / double(counts.made[d]));
  return {{"text", text.name},
          {"temperature", sampling.temperature},
          {"tokens_per_s_plain", median(plain_rates)},
          {"tokens_per_s", median(rates)},
          {"ratio", median(ratios)},
          {"acceptance", std::move(acceptance)}};
}

}  // namespace

Json bench_drafts(const fs::path& model, const EngineOptions& options, int repeats) {
  Engine engine(model, options);
  const std::unique_ptr<Graph> graph = GroundingFlags().open(engine);
  Json rows = Json::array();
  for (const Text& text : texts()) {
    SamplingConfig sampling = engine.default_sampling();
    rows.push_back(compare(engine, graph.get(), text, sampling, options.drafts, repeats));
    sampling.temperature = 0;
    rows.push_back(compare(engine, graph.get(), text, sampling, options.drafts, repeats));
  }
  return rows;
}

void print_drafts(const Json& rows) {
  std::puts("\ntext      temperature  tokens/s plain  with drafts  ratio  accepted by depth");
  for (const Json& row : rows) {
    std::vector<double> accepted = row["acceptance"];
    fmt::print("{:8}  {:11.2f}  {:14.0f}  {:11.0f}  {:5.2f}  {:.2f}\n",
               row["text"].get<std::string>(), row["temperature"].get<double>(),
               row["tokens_per_s_plain"].get<double>(), row["tokens_per_s"].get<double>(),
               row["ratio"].get<double>(), fmt::join(accepted, " "));
  }
}

}  // namespace shenhong
