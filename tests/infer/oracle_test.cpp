// Logits and greedy continuations as transformers' DeepseekV3ForCausalLM computes them from our
// model directories. The golden was made by tests/oracle/transformers_greedy.py --write-golden,
// which also runs the comparison live.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "core/json.h"
#include "infer/decoder.h"
#include "infer/tiny_models.h"
#include "model/model_directory.h"

namespace shenhong {
namespace {

constexpr int kPrompt = 16, kGreedy = 24;

// transformers has no softmax scores and no missing shared expert under this architecture.
bool transformers_knows(const ModelConfig& config) {
  return config.scoring_func == "sigmoid" && config.n_shared_experts > 0;
}

struct Answer {
  std::vector<int> prompt, greedy;
  Buffer<float> logits;  // [kPrompt, V]
};

Answer answer_of(Model<float>& model) {
  Answer out;
  const int V = model.config().vocab_size;
  out.prompt = random_tokens(kPrompt, V, 31);
  const Weights weights(model, NumberFormat::kF32);
  Decoder decoder(weights);
  PagePool pool(model.config(), cache_bytes(model.config(), kPrompt + kGreedy));
  Sequence sequence(pool, out.prompt);
  auto logits = decoder.forward(sequence, kPrompt, kPrompt);
  out.logits.resize(int64_t(logits.size()));
  std::copy(logits.begin(), logits.end(), out.logits.begin());
  logits = logits.last(size_t(V));
  for (int i = 0; i < kGreedy; ++i) {
    out.greedy.push_back(int(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    sequence.append(std::span(out.greedy).last(1));
    logits = decoder.forward(sequence, 1, 1);
  }
  return out;
}

// For the live comparison: the model directories, and what we make of them.
void write_for_oracle(const fs::path& directory, const std::string& name, const Model<float>& model,
                      const Answer& answer) {
  save_model(model, directory / name, WeightFormat::kF32);
  const Json json = {{"prompt", answer.prompt},
                     {"greedy", answer.greedy},
                     {"logits", std::vector<float>(answer.logits.begin(), answer.logits.end())}};
  write_file(directory / name / "ours.json", dump_json(json));
}

TEST(Oracle, transformers_computes_the_same_logits_and_greedy_tokens) {
  const fs::path path = fs::path(SHENHONG_SOURCE_DIR) / "tests/golden/transformers_greedy.json";
  const char* directory = std::getenv("SHENHONG_ORACLE_DIR");
  const Json golden =
      fs::exists(path) ? parse_json(read_file(path), path.string()) : Json::object();
  for (const auto& [name, config] : tiny_configs()) {
    if (!transformers_knows(config)) continue;
    const auto model = random_model(config, 77);
    const Answer ours = answer_of(*model);
    if (directory) write_for_oracle(directory, name, *model, ours);
    EXPECT_TRUE(golden.contains(name)) << name;
    if (!golden.contains(name)) continue;
    const Json& theirs = golden[name];
    EXPECT_EQ(theirs["prompt"].get<std::vector<int>>(), ours.prompt) << name;
    EXPECT_EQ(theirs["greedy"].get<std::vector<int>>(), ours.greedy) << name;
    const auto rows = theirs["rows"].get<std::vector<int>>();
    const auto logits = theirs["logits"].get<std::vector<double>>();
    double gap = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
      const int64_t at = int64_t(rows[i / size_t(config.vocab_size)]) * config.vocab_size +
                         int64_t(i) % config.vocab_size;
      gap = std::max(gap, std::abs(double(ours.logits[at]) - logits[i]));
    }
    EXPECT_LE(gap, 1e-4) << name;
  }
}

}  // namespace
}  // namespace shenhong
