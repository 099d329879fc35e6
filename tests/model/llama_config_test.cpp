#include "model/llama_config.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <functional>

#include "core/error.h"
#include "model/config.h"
#include "model/gguf_config.h"
#include "model/gguf_model.h"

namespace shenhong {
namespace {

fs::path golden(const char* name) {
  return fs::path(SHENHONG_SOURCE_DIR) / "tests/golden/llama" / name;
}

class LlamaConfig : public testing::Test {
 protected:
  void TearDown() override { fs::remove(path_); }

  // What reading says of a golden's config.json with a change; empty when it is read.
  std::string error(const std::function<void(Json&)>& change, const char* name = "grouped") {
    Json json = parse_json(read_file(golden(name) / "config.json"), name);
    change(json);
    path_ = fs::path(testing::TempDir()) / fmt::format("llama_config-{}.json", ::getpid());
    write_file(path_, dump_json(json));
    return error([&] { read_ = read_config(path_); });
  }
  // What reading says of a golden GGUF with another value of four bytes behind a key.
  std::string error(const std::string& key, uint32_t value, const char* name = "grouped.gguf") {
    std::string bytes = read_file(golden(name));
    const size_t at = bytes.find(key);
    EXPECT_NE(at, std::string::npos) << key;
    std::memcpy(bytes.data() + at + key.size() + sizeof(uint32_t), &value, sizeof value);
    path_ = fs::path(testing::TempDir()) / fmt::format("llama_config-{}.gguf", ::getpid());
    write_file(path_, bytes);
    return error([&] { GgufModel model(path_); });
  }

  fs::path path_;
  ModelConfig read_;

 private:
  std::string error(const std::function<void()>& read) {
    std::string message;
    try {
      read();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Exit::kBadInput) << e.what();
      message = e.what();
      EXPECT_NE(message.find(path_.string()), std::string::npos) << message;
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    }
    return message;
  }
};

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(LlamaConfig, is_told_in_the_keys_of_model_config) {
  ASSERT_EQ(error([](Json&) {}), "");
  EXPECT_EQ(read_.num_attention_heads, 6);
  EXPECT_EQ(read_.grouped_query.num_key_value_heads, 2);
  EXPECT_EQ(read_.qk_head_dim(), 10);
  EXPECT_EQ(read_.v_head_dim, 10);
  EXPECT_FALSE(read_.grouped_query.rope_interleave);
  EXPECT_FALSE(read_.is_moe(0) || read_.is_moe(read_.num_hidden_layers - 1));
  EXPECT_EQ(read_.rope_theta, 50000);

  ASSERT_EQ(error([](Json& c) { c["eos_token_id"] = {7, 8}; }, "tied"), "");
  EXPECT_EQ(read_.eos_token_id, 7);
  EXPECT_TRUE(read_.grouped_query.attention_bias && read_.grouped_query.output_bias);
  EXPECT_TRUE(read_.tie_word_embeddings);
  ASSERT_EQ(error([](Json& c) { c.erase("num_key_value_heads"); }, "qwen2"), "");
  EXPECT_EQ(read_.grouped_query.num_key_value_heads, 4);  // as many as there are of queries
  EXPECT_TRUE(read_.grouped_query.attention_bias && !read_.grouped_query.output_bias);
}

TEST_F(LlamaConfig, gguf_says_what_config_json_says) {
  ASSERT_EQ(error([](Json&) {}), "");
  const ModelConfig gguf = read_gguf_config(Gguf(golden("grouped.gguf")));
  EXPECT_TRUE(gguf.grouped_query.rope_interleave);  // its rows are turned
  const auto &divisors = gguf.grouped_query.rope_divisors,
             &wanted = read_.grouped_query.rope_divisors;
  ASSERT_EQ(divisors.size(), wanted.size());
  EXPECT_GT(wanted.back(), 7);
  for (size_t i = 0; i < wanted.size(); ++i)
    EXPECT_NEAR(divisors[i], wanted[i], 1e-5 * wanted[i]) << i;

  read_.grouped_query.rope_interleave = true;
  read_.grouped_query.rope_divisors = divisors;
  read_.rms_norm_eps = gguf.rms_norm_eps;  // rounded to float there
  read_.initializer_range = gguf.initializer_range;
  EXPECT_TRUE(fields_equal(gguf, read_));
}

TEST_F(LlamaConfig, what_is_not_supported_or_makes_no_sense_is_refused_by_name) {
  const auto with = [&](const char* key, Json value) {
    return error([&](Json& c) { c[key] = value; });
  };
  const auto with_rope = [&](const char* key, Json value) {
    return error([&](Json& c) { c["rope_parameters"][key] = value; });
  };
  EXPECT_SAYS(with("num_key_value_heads", 4),
              "num_attention_heads = 6 cannot be shared out among num_key_value_heads = 4");
  EXPECT_SAYS(with("num_key_value_heads", 0), "num_key_value_heads = 0: no such size");
  EXPECT_SAYS(with("num_key_value_heads", "2"), "num_key_value_heads = \"2\": no such size");
  EXPECT_SAYS(with("num_attention_heads", nullptr), "has no num_attention_heads");
  EXPECT_SAYS(with("head_dim", 9), "head_dim = 9: want an even number");
  EXPECT_SAYS(with("head_dim", 2147483646), "head_dim = 2147483646: at most");
  EXPECT_SAYS(error([](Json& c) { c.erase("head_dim"), c["hidden_size"] = 50; }),
              "hidden_size = 50 is no multiple of num_attention_heads = 6");
  EXPECT_SAYS(with("num_hidden_layers", int64_t(1) << 33), "num_hidden_layers = 8589934592");
  EXPECT_SAYS(with("hidden_act", "gelu"), "hidden_act = \"gelu\": only \"silu\" is supported");
  EXPECT_SAYS(with("mlp_bias", true), "mlp_bias = true: only false is supported");
  EXPECT_SAYS(with("attention_bias", 1), "attention_bias = 1: want true or false");
  EXPECT_SAYS(with("eos_token_id", Json::array()), "eos_token_id = []: want an id");
  EXPECT_SAYS(with("eos_token_id", 64), "eos_token_id = 64 must lie below vocab_size = 64");
  EXPECT_SAYS(error([](Json& c) { c["use_sliding_window"] = true; }, "qwen2"),
              "use_sliding_window = true: only false");
  EXPECT_SAYS(with_rope("rope_type", "dynamic"), "type \"dynamic\": only llama3 and default");
  EXPECT_SAYS(with_rope("factor", 0), "rope_scaling.factor = 0: want a number above 0");
  EXPECT_SAYS(with_rope("low_freq_factor", "1"), "rope_scaling.low_freq_factor = \"1\": want");
  EXPECT_SAYS(with_rope("high_freq_factor", 1),
              "high_freq_factor = 1 must be above low_freq_factor = 1");
  EXPECT_SAYS(with_rope("rope_theta", "x"), "rope_theta = \"x\": want a number");
  EXPECT_SAYS(with_rope("rope_theta", -1), "config");  // whichever number it spoils first
}

TEST_F(LlamaConfig, gguf_that_is_not_supported_or_makes_no_sense_is_refused_by_its_key) {
  EXPECT_SAYS(error("llama.attention.head_count_kv", 4), "num_key_value_heads = 4");
  EXPECT_SAYS(error("llama.attention.head_count_kv", 0), "head_count_kv = 0: must be at least 1");
  EXPECT_SAYS(error("llama.attention.head_count_kv", 1), "attention.head_count_kv, ");
  EXPECT_SAYS(error("llama.attention.head_count_kv", 1u << 31), "head_count_kv = 2147483648");
  EXPECT_SAYS(error("llama.attention.key_length", 12), "attention.value_length = 10: only");
  EXPECT_SAYS(error("llama.rope.dimension_count", 4), "rope.dimension_count = 4: only");
  EXPECT_SAYS(error("llama.block_count", 3), "blk.2.");
  EXPECT_SAYS(error("llama.block_count", 1), "blk.1.");
  EXPECT_SAYS(error("general.architecture", 0), "llama_config");  // the text's length
  EXPECT_SAYS(error("qwen2.attention.head_count_kv", 4, "qwen2.gguf"), "'blk.0.attn_k.weight' is");
}

TEST_F(LlamaConfig, every_cut_of_a_gguf_is_refused) {
  const std::string whole = read_file(golden("qwen2.gguf"));
  path_ = fs::path(testing::TempDir()) / fmt::format("llama_config-{}.gguf", ::getpid());
  for (size_t length = 0; length + 32 < whole.size(); length += 997) {
    write_file(path_, whole.substr(0, length));
    EXPECT_THROW(GgufModel model(path_), Error) << length;
  }
}

}  // namespace
}  // namespace shenhong
