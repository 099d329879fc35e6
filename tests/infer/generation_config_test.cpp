// How a model wants to be sampled, as JSON and as metadata of a GGUF.
#include "infer/generation_config.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>

#include "core/error.h"
#include "formats/gguf.h"
#include "infer/tiny_models.h"

namespace shenhong {
namespace {

class GenerationSettings : public testing::Test {
 protected:
  GenerationSettings()
      : directory_(fs::path(testing::TempDir()) / fmt::format("generation-{}", ::getpid())) {
    fs::create_directories(directory_);
  }
  ~GenerationSettings() override { fs::remove_all(directory_); }

  GenerationConfig of_gguf(const GgufMetadata& metadata) const {
    write_gguf(directory_ / "x.gguf", metadata, {});
    return read_generation_config(directory_ / "x.gguf", tiny_config());
  }
  GenerationConfig of_json(const std::string& json) const {
    write_file(directory_ / "generation_config.json", json);
    return read_generation_config(directory_, tiny_config());
  }
  static GenerationConfig ended_by(std::vector<int> tokens) {
    GenerationConfig config;
    config.end_tokens = std::move(tokens);
    return config;
  }
  void expect_same(const GenerationConfig& a, const GenerationConfig& b) const {
    EXPECT_EQ(dump_json(fields_to_json(a.sampling)), dump_json(fields_to_json(b.sampling)));
    EXPECT_EQ(a.end_tokens, b.end_tokens);
  }

  fs::path directory_;
};

TEST_F(GenerationSettings, go_through_both_forms_and_back) {
  GenerationConfig usual = ended_by({tiny_config().eos_token_id}), unusual = ended_by({7, 3, 9});
  SamplingConfig& s = unusual.sampling;
  s.temperature = 1.6;
  s.top_k = 7;
  s.top_p = 0.9;
  s.min_p = 0.1;
  s.repetition_penalty = 1.1;
  s.frequency_penalty = 0.3;
  s.presence_penalty = 2;
  s.penalty_window = 0;
  s.order = "hf";
  GenerationConfig greedy = usual;
  greedy.sampling.temperature = 0;
  for (const GenerationConfig& config : {usual, unusual, greedy}) {
    expect_same(of_json(write_generation_config(config, tiny_config())), config);
    expect_same(of_gguf(gguf_generation_metadata(config, tiny_config())), config);
  }
}

TEST_F(GenerationSettings, cuts_that_are_in_use_are_written_though_they_are_our_defaults) {
  const GenerationConfig usual = ended_by({tiny_config().eos_token_id});
  const Json json = parse_json(write_generation_config(usual, tiny_config()), "json");
  EXPECT_EQ(json["top_k"], 40);
  EXPECT_EQ(json["top_p"], 0.95);
  EXPECT_EQ(json["min_p"], 0.05);
  EXPECT_EQ(json["temperature"], 0.8);
  EXPECT_EQ(json["do_sample"], true);
  EXPECT_EQ(json["eos_token_id"], tiny_config().eos_token_id);
  EXPECT_FALSE(json.contains("presence_penalty"));
  EXPECT_FALSE(json.contains("seed"));
}

// The names and types of the gguf package's writer.
TEST_F(GenerationSettings, are_read_as_other_programs_write_them) {
  const GenerationConfig c =
      of_gguf({{"general.sampling.temp", 0.6f},
               {"general.sampling.top_k", int32_t(20)},
               {"general.sampling.top_p", 0.8f},
               {"general.sampling.min_p", 0.01f},
               {"general.sampling.penalty_last_n", int32_t(-1)},
               {"general.sampling.penalty_repeat", 1.05f},
               {"general.sampling.sequence", std::string("top_k;temperature")},
               {"general.sampling.mirostat", int32_t(0)},
               {"tokenizer.ggml.eot_token_id", uint32_t(5)}});
  EXPECT_EQ(c.sampling.temperature, 0.6);
  EXPECT_EQ(c.sampling.top_k, 20);
  EXPECT_EQ(c.sampling.top_p, 0.8);
  EXPECT_EQ(c.sampling.min_p, 0.01);
  EXPECT_EQ(c.sampling.penalty_window, 0);
  EXPECT_EQ(c.sampling.repetition_penalty, 1.05);
  EXPECT_EQ(c.end_tokens, (std::vector<int>{tiny_config().eos_token_id, 5}));
  // There 0 tokens are no penalty; here they would be all.
  EXPECT_EQ(of_gguf({{"general.sampling.penalty_last_n", int32_t(0)},
                     {"general.sampling.penalty_repeat", 1.5f}})
                .sampling.repetition_penalty,
            1);
  EXPECT_EQ(of_gguf({{"general.sampling.top_k", int32_t(-1)}}).sampling.top_k, 0);
  EXPECT_EQ(of_gguf({{"general.sampling.temp", -1.0f}}).sampling.temperature, 0);
  expect_same(of_gguf({}), ended_by({tiny_config().eos_token_id}));
}

TEST_F(GenerationSettings, that_mean_nothing_are_refused_by_name) {
  const auto error = [&](const std::string& key, GgufSetting value) -> std::string {
    try {
      of_gguf({{key, value}});
    } catch (const Error& e) {
      EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
      return e.what();
    }
    return "";
  };
  EXPECT_NE(error("general.sampling.top_k", 1.5f).find("top_k"), std::string::npos);
  EXPECT_NE(error("general.sampling.top_k", true).find("top_k"), std::string::npos);
  EXPECT_NE(error("general.sampling.top_p", 3.0f).find("top_p"), std::string::npos);
  EXPECT_NE(error("general.sampling.temp", std::nanf("")).find("temperature"), std::string::npos);
  EXPECT_NE(error("general.sampling.temp", std::string("hot")).find("temperature"),
            std::string::npos);
  EXPECT_NE(error("tokenizer.ggml.eot_token_id", uint32_t(1 << 20)).find("eos_token_id"),
            std::string::npos);
  EXPECT_NE(error("shenhong.end_token_ids", std::vector<int32_t>{-1}).find("eos_token_id"),
            std::string::npos);
}

}  // namespace
}  // namespace shenhong
