#include "model/config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "toy.h"

namespace shenhong {
namespace {

Json written(const ModelConfig& config) { return parse_json(write_config(config), "config.json"); }

ModelConfig threshold() {
  ModelConfig c = toy_config();
  c.routing = {.method = "threshold", .min_experts = 1, .max_experts = 4};
  return c;
}
ModelConfig identity() {
  ModelConfig c = toy_config();
  c.routing = {.method = "identity", .mean_experts = 1.5, .identity_experts = 3};
  return c;
}
ModelConfig memory() {
  ModelConfig c = toy_config();
  c.ngram_memory = {.layers = {0, 1}, .max_order = 3, .heads = 2, .rows = 11, .head_dim = 3};
  return c;
}

TEST(Config, deepseek_v3_s_form_is_written_under_its_keys_alone) {
  const Json json = written(toy_config());
  EXPECT_EQ(json["model_type"], "deepseek_v3");
  EXPECT_EQ(json["architectures"], Json({"DeepseekV3ForCausalLM"}));
  EXPECT_FALSE(json.contains("routing"));
  EXPECT_FALSE(json.contains("ngram_memory"));
}

TEST(Config, what_is_beyond_deepseek_v3_gets_a_model_type_of_its_own) {
  for (const ModelConfig& config : {threshold(), identity(), memory()}) {
    const Json json = written(config);
    EXPECT_EQ(json["model_type"], "shenhong");
    EXPECT_EQ(json["architectures"], Json({"ShenhongForCausalLM"}));
    EXPECT_EQ(json.contains("routing"), config.experts_vary());
    EXPECT_EQ(json.contains("ngram_memory"), config.ngram_memory.on());
    const fs::path path =
        fs::path(testing::TempDir()) / fmt::format("config_test_{}.json", ::getpid());
    write_file(path, write_config(config));
    EXPECT_TRUE(fields_equal(read_config(path), config));
    fs::remove(path);
  }
}

void expect_refused(ModelConfig config, const std::string& words) {
  try {
    config.validate("config.json");
    FAIL() << words;
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(words), std::string::npos) << e.what();
  }
}

TEST(Config, settings_that_the_form_excludes_are_refused_by_name) {
  EXPECT_NO_THROW(threshold().validate("config.json"));
  EXPECT_NO_THROW(identity().validate("config.json"));
  EXPECT_NO_THROW(memory().validate("config.json"));
  ModelConfig c = threshold();
  c.routing.method = "top-p";
  expect_refused(c, "routing.method = 'top-p': known are topk, threshold and identity");
  c = threshold();
  c.routing.method = "topk";
  expect_refused(c, "routing.max_experts = 4: only with routing.method = 'threshold'");
  c.routing = {.min_experts = 2};
  expect_refused(c, "routing.min_experts = 2: only with");
  c = threshold();
  c.n_group = 3;
  c.topk_group = 2;
  expect_refused(c, "topk_group = 2 of 3 groups");
  c = threshold();
  c.routing.max_experts = 1;
  expect_refused(c, "routing.max_experts = 1: want the mean of 2 to");
  c.routing = {.method = "threshold", .min_experts = 3};
  expect_refused(c, "routing.min_experts = 3: want 0 to the mean of 2");
  c.routing = {.method = "threshold", .mean_experts = 6.5};
  expect_refused(c, "routing.mean_experts = 6.5: want more than 0, to n_routed_experts = 6");
  c.routing = {.mean_experts = 1.5};
  expect_refused(c, "routing.mean_experts = 1.5: only with");
  c.routing = {.identity_experts = 2};
  expect_refused(c, "routing.identity_experts = 2: only with routing.method = 'identity'");
  c = identity();
  c.routing.max_experts = 2;
  expect_refused(c, "routing.max_experts = 2: only with routing.method = 'threshold'");
  c = identity();
  c.routing.identity_experts = 0;
  expect_refused(c, "routing.identity_experts = 0: want 1 to");
  for (const double mean : {0.0, 2.0}) {
    c = identity();
    c.routing.mean_experts = mean;
    expect_refused(c, "want above 0 and below 2, as a token takes num_experts_per_tok = 2");
  }
  c = identity();
  c.routing.identity_experts = 1;
  c.routing.mean_experts = 1;
  expect_refused(c, "routing.mean_experts = 1: want above 1 and below 2");
  c = identity();
  c.n_group = 3;
  c.topk_group = 2;
  expect_refused(c, "routing.method = 'identity' chooses experts one by one");
  c = threshold();
  c.num_nextn_predict_layers = 0;
  c.first_k_dense_replace = 2;
  expect_refused(c, "leaves no layer with experts");
  c = memory();
  c.ngram_memory.layers = {1, 1};
  expect_refused(c, "ngram_memory.layers: want layers of 0 to 1");
  c.ngram_memory.layers = {2};
  expect_refused(c, "ngram_memory.layers");
  c = memory();
  c.ngram_memory.max_order = 1;
  expect_refused(c, "ngram_memory.max_order = 1: want 2 to 5");
}

}  // namespace
}  // namespace shenhong
