// Checkpoints as others publish them give the logits that transformers computes from the same
// weights. Made by tests/oracle/checkpoint_golden.py, which also runs this on larger ones.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "formats/safetensors.h"
#include "infer/decoder.h"
#include "infer/tiny_models.h"
#include "model/model_directory.h"
#include "model/weight_files.h"

namespace shenhong {
namespace {

// Float sums of another order; what is asked of a loader is 1e-3.
constexpr double kTolerance = 2e-5;

fs::path checkpoints() {
  const char* other = std::getenv("SHENHONG_CHECKPOINTS");
  return other ? fs::path(other) : fs::path(SHENHONG_SOURCE_DIR) / "tests/golden/checkpoints";
}

// What the peer read and answered.
struct Answer {
  explicit Answer(const char* name) {
    const Safetensors file(checkpoints() / (std::string(name) + ".safetensors"));
    const TensorView& ids = *file.find("tokens");
    std::vector<int64_t> wide(size_t(ids.elements()));
    std::memcpy(wide.data(), ids.bytes.data(), ids.bytes.size());
    tokens.assign(wide.begin(), wide.end());
    logits.resize(size_t(file.find("logits")->elements()));
    read_floats(*file.find("logits"), "logits", logits);
  }
  std::vector<int> tokens;
  std::vector<float> logits;  // [tokens, V]
};

// Largest difference, relative to the largest logit.
double gap(std::span<const float> ours, const std::vector<float>& theirs) {
  EXPECT_EQ(ours.size(), theirs.size());
  double most = 0, largest = 0;
  for (size_t i = 0; i < theirs.size() && i < ours.size(); ++i) {
    most = std::max(most, std::abs(double(ours[i]) - double(theirs[i])));
    largest = std::max(largest, std::abs(double(theirs[i])));
  }
  EXPECT_GT(largest, 0.1);
  return most / largest;
}

double gap_of_decoding(const fs::path& model, const Answer& answer) {
  const auto weights = load_weights(model);
  Decoder decoder(*weights);
  const int count = int(answer.tokens.size());
  PagePool pool(weights->config(), cache_bytes(weights->config(), count));
  Sequence sequence(pool, answer.tokens);
  return gap(decoder.forward(sequence, count, count), answer.logits);
}

// Of the model as it trains, and of the weights as they decode.
void expect_answer(const fs::path& model, const Answer& answer) {
  EXPECT_LE(gap(full_logits(*load_model(model), answer.tokens).span(), answer.logits), kTolerance)
      << model;
  EXPECT_LE(gap_of_decoding(model, answer), kTolerance) << model;
}

// config.json with "rope_parameters", several files, and a prediction module that is promised but
// not there.
TEST(Checkpoints, bf16_in_several_files_as_transformers_saves_it) {
  const fs::path directory = checkpoints() / "bf16_sharded";
  EXPECT_EQ(read_config(directory / "config.json").rope_scaling.factor, 8);
  EXPECT_EQ(load_model(directory)->config().num_nextn_predict_layers, 0);
  expect_answer(directory, Answer("bf16_sharded"));
}

TEST(Checkpoints, fp8_blocks_with_a_prediction_module_as_deepseek_v3_is_published) {
  const fs::path directory = checkpoints() / "fp8_mtp";
  EXPECT_EQ(load_model(directory)->config().num_nextn_predict_layers, 1);
  expect_answer(directory, Answer("fp8_mtp"));
}

TEST(Checkpoints, fp8_blocks_without_the_prediction_module) {
  const fs::path from = checkpoints() / "fp8_mtp",
                 to = fs::temp_directory_path() / fmt::format("fp8_trunk-{}", ::getpid());
  const int layers = read_config(from / "config.json").num_hidden_layers;
  Json map = Json::object();
  for (const auto& entry : fs::directory_iterator(from)) {
    if (entry.path().extension() != ".safetensors") continue;
    const Safetensors file(entry.path());
    std::vector<TensorToWrite> kept;
    for (const auto& [name, tensor] : file.tensors()) {
      if (is_prediction_module(name, layers)) continue;
      map[name] = entry.path().filename().string();
      kept.push_back({name, tensor.dtype, tensor.shape, [&tensor](std::span<uint8_t> out) {
                        std::memcpy(out.data(), tensor.bytes.data(), out.size());
                      }});
    }
    fs::create_directories(to);
    write_safetensors(to / entry.path().filename(), kept);
  }
  write_file(to / "model.safetensors.index.json", dump_json({{"weight_map", map}}));
  fs::copy_file(from / "config.json", to / "config.json");
  EXPECT_EQ(load_model(to)->config().num_nextn_predict_layers, 0);
  expect_answer(to, Answer("fp8_mtp"));
  fs::remove_all(to);
}

// Routers without biases, and a config.json that does not name their scoring function.
TEST(Checkpoints, a_directory_in_deepseek_v2_s_form) {
  const fs::path directory = checkpoints() / "v2_lite";
  EXPECT_EQ(read_config(directory / "config.json").scoring_func, "softmax");
  expect_answer(directory, Answer("v2_lite"));
}

TEST(Checkpoints, only_v2_s_routers_may_lack_their_biases_and_methods_mean_what_they_say) {
  const fs::path from = checkpoints() / "v2_lite",
                 to = fs::temp_directory_path() / fmt::format("no_biases-{}", ::getpid());
  const auto expect_refused = [&](const Json& change, const char* reason) {
    fs::copy(from, to);
    Json config = parse_json(read_file(to / "config.json"), "config.json");
    config.update(change);
    write_file(to / "config.json", dump_json(config));
    try {
      load_weights(to);
      ADD_FAILURE() << reason;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(reason), std::string::npos) << e.what();
    }
    fs::remove_all(to);
  };
  expect_refused({{"scoring_func", "sigmoid"}}, "e_score_correction_bias' is missing");
  expect_refused({{"topk_method", "noaux_tc"}}, "e_score_correction_bias' is missing");
  expect_refused({{"n_group", 2}}, "topk_method = \"greedy\"");
  expect_refused({{"scoring_func", "sigmoid"}, {"topk_method", "group_limited_greedy"}},
                 "topk_method = \"group_limited_greedy\"");
  expect_refused({{"topk_method", "random"}}, "topk_method = \"random\"");
}

// Softmax scores, no query compression, YaRN, shared experts; the up-projection whole or, where
// there is such a file, taken apart.
TEST(Checkpoints, a_gguf_in_deepseek_v2_lite_s_form) {
  const Answer answer("v2_lite");
  const ModelConfig config = read_model_config(checkpoints() / "v2_lite.gguf");
  EXPECT_EQ(config.scoring_func, "softmax");
  EXPECT_EQ(config.q_lora_rank, 0);
  EXPECT_EQ(config.n_shared_experts, 2);
  EXPECT_EQ(config.rope_scaling.factor, 40);
  EXPECT_EQ(config.rope_scaling.mscale_all_dim, 0.707);
  expect_answer(checkpoints() / "v2_lite.gguf", answer);
  const fs::path absorbed = checkpoints() / "v2_lite_mla.gguf";
  if (fs::exists(absorbed)) expect_answer(absorbed, answer);
}

}  // namespace
}  // namespace shenhong
