// Dense models of Llama's form. The goldens, by tests/oracle/llama_golden.py, are checkpoints and
// the logits that transformers computes from them; its live comparison names a directory of others
// in SHENHONG_LLAMA_CHECKPOINTS.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "formats/safetensors.h"
#include "infer/decoder.h"

namespace shenhong {
namespace {

constexpr double kTolerance = 1e-5;  // of the largest logit

fs::path checkpoints() {
  const char* others = std::getenv("SHENHONG_LLAMA_CHECKPOINTS");
  return others ? fs::path(others) : fs::path(SHENHONG_SOURCE_DIR) / "tests/golden/llama";
}

struct Golden {
  std::vector<int> tokens;
  std::vector<float> logits;  // [tokens, V]
};

Golden read_golden(const std::string& name) {
  const Safetensors file(checkpoints() / (name + ".safetensors"));
  const TensorView &tokens = *file.find("tokens"), &logits = *file.find("logits");
  std::vector<int64_t> ids(tokens.bytes.size() / sizeof(int64_t));
  std::memcpy(ids.data(), tokens.bytes.data(), tokens.bytes.size());
  Golden out{{ids.begin(), ids.end()}, std::vector<float>(logits.bytes.size() / sizeof(float))};
  std::memcpy(out.logits.data(), logits.bytes.data(), logits.bytes.size());
  return out;
}

// The largest gap to the golden's logits, in shares of the largest of them; the tokens after
// `prompt` are read one by one.
double gap_to(const Golden& golden, const fs::path& model, int prompt) {
  const auto weights = load_weights(model);
  const ModelConfig& config = weights->config();
  Decoder decoder(*weights);
  PagePool pool(config, cache_bytes(config, config.max_position_embeddings));
  Sequence sequence(pool, {golden.tokens.begin(), golden.tokens.begin() + prompt});
  sequence.append(std::span(golden.tokens).subspan(size_t(prompt)));
  double gap = 0, largest = 0;
  for (size_t at = 0; sequence.pending() > 0;) {
    const int count = at == 0 ? prompt : 1;
    for (const float logit : decoder.forward(sequence, count, count)) {
      const double wanted = golden.logits[at++];
      gap = std::max(gap, std::isnan(logit) ? INFINITY : std::abs(double(logit) - wanted));
      largest = std::max(largest, std::abs(wanted));
    }
  }
  return gap / largest;
}

TEST(LlamaForm, logits_are_those_of_transformers) {
  for (const std::string name : {"grouped", "tied", "qwen2"}) {
    const Golden golden = read_golden(name);
    for (const fs::path& model : {checkpoints() / name, checkpoints() / (name + ".gguf")}) {
      if (!fs::exists(model)) continue;
      for (const int prompt : {1, 37, int(golden.tokens.size())}) {
        const double gap = gap_to(golden, model, prompt);
        RecordProperty(fmt::format("{} {}", model.filename().string(), prompt),
                       std::to_string(gap));
        EXPECT_LE(gap, kTolerance) << model << ", prompt of " << prompt;
      }
    }
  }
}

}  // namespace
}  // namespace shenhong
