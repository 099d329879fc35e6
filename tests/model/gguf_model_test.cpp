#include "model/gguf_model.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/error.h"
#include "core/random.h"
#include "infer/tiny_models.h"
#include "model/gguf_config.h"
#include "model/gguf_tensors.h"
#include "model/model_directory.h"

namespace shenhong {
namespace {

using Tensors = std::vector<GgufTensorToWrite>;

fs::path scratch() {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  std::string name = fmt::format("gguf_model-{}-{}", test->name(), ::getpid());
  std::replace(name.begin(), name.end(), '/', '-');
  return fs::path(testing::TempDir()) / name;
}

// The parameter of that name, [rows, cols].
QuantizedBuffer parameter(const Model<float>& model, const std::string& name) {
  QuantizedBuffer out;
  model.for_each_parameter([&](const Parameter<float>& p) {
    if (p.name == name) out = quantize(NumberFormat::kF32, p.rows, p.cols, p.w());
  });
  EXPECT_GT(out.view.rows, 0) << name;
  return out;
}

// Files that are removed at the end of the test.
class Files {
 public:
  Files() : path_(scratch()) { fs::create_directories(path_); }
  ~Files() { fs::remove_all(path_); }
  fs::path operator/(const char* name) const { return path_ / name; }

  // A GGUF of `model` in which a test may change what it likes.
  fs::path gguf(const Model<float>& model, BlockType type = BlockType::kF32,
                const std::function<void(GgufMetadata&, Tensors&)>& change = {}) const {
    const TensorSource source = [&](const std::string& name, int, int) {
      return parameter(model, name);
    };
    GgufMetadata metadata = gguf_config_metadata(model.config());
    metadata.emplace_back("tokenizer.ggml.bos_token_id", uint32_t(model.config().bos_token_id));
    metadata.emplace_back("tokenizer.ggml.eos_token_id", uint32_t(model.config().eos_token_id));
    Tensors tensors = gguf_tensors(model.config(), type, source);
    if (change) change(metadata, tensors);
    const fs::path path = path_ / "model.gguf";
    write_gguf(path, metadata, tensors);
    return path;
  }

 private:
  fs::path path_;
};

void expect_same(const Model<float>& got, const Model<float>& wanted) {
  std::vector<const Parameter<float>*> theirs;
  wanted.for_each_parameter([&](const Parameter<float>& p) { theirs.push_back(&p); });
  size_t at = 0;
  got.for_each_parameter([&](const Parameter<float>& p) {
    ASSERT_LT(at, theirs.size());
    const Parameter<float>& q = *theirs[at++];
    ASSERT_EQ(p.name, q.name);
    ASSERT_EQ(p.size(), q.size());
    EXPECT_EQ(std::memcmp(p.w(), q.w(), p.value.bytes()), 0) << p.name;
  });
  EXPECT_EQ(at, theirs.size());
}

GgufTensorToWrite& tensor_of(Tensors& tensors, const std::string& name) {
  return *std::find_if(tensors.begin(), tensors.end(),
                       [&](const GgufTensorToWrite& t) { return t.name == name; });
}

GgufSetting& setting_of(GgufMetadata& metadata, const std::string& key) {
  return std::find_if(metadata.begin(), metadata.end(),
                      [&](const auto& pair) { return pair.first == key; })
      ->second;
}

void remove_setting(GgufMetadata& metadata, const std::string& key) {
  std::erase_if(metadata, [&](const auto& pair) { return pair.first == key; });
}

// Sizes that every block format divides.
ModelConfig even_config() {
  ModelConfig c = tiny_config();
  c.hidden_size = 64;
  c.num_attention_heads = 2;
  c.kv_lora_rank = 32;
  c.qk_nope_head_dim = 32;
  c.v_head_dim = 32;
  c.intermediate_size = 96;
  c.moe_intermediate_size = 32;
  c.n_routed_experts = 4;
  return c;
}

class GgufOfEveryArchitecture : public testing::TestWithParam<NamedConfig> {};

TEST_P(GgufOfEveryArchitecture, holds_the_config_and_every_weight) {
  const Files files;
  const auto model = random_model(GetParam().config, 3);
  const fs::path path = files.gguf(*model);
  ModelConfig config = read_model_config(path);
  config.initializer_range = model->config().initializer_range;  // GGUF has no key for it
  EXPECT_EQ(dump_json(fields_to_json(config)), dump_json(fields_to_json(model->config())));
  expect_same(*load_model(path), *model);
}

TEST_P(GgufOfEveryArchitecture, becomes_the_same_directory_again) {
  const Files files;
  const auto model = random_model(GetParam().config, 4);
  const GgufModel gguf(files.gguf(*model));
  write_file(files / "config.json", write_config(gguf.config()));
  write_safetensors(files / "model.safetensors", unstacked_tensors(gguf, /*bf16=*/false));
  expect_same(*load_model((files / "config.json").parent_path()), *model);
}

// Files of before the absorbed form: one up-projection, and the lengths of heads without a cache.
TEST_P(GgufOfEveryArchitecture, undivided_attention_gives_the_same_logits) {
  const Files files;
  const auto model = random_model(GetParam().config, 5);
  const ModelConfig& c = model->config();
  const fs::path path = files.gguf(*model, BlockType::kF32, [&](GgufMetadata& m, Tensors& tensors) {
    remove_setting(m, "deepseek2.attention.key_length_mla");
    remove_setting(m, "deepseek2.attention.value_length_mla");
    setting_of(m, "deepseek2.attention.key_length") = uint32_t(c.qk_head_dim());
    setting_of(m, "deepseek2.attention.value_length") = uint32_t(c.v_head_dim);
    std::erase_if(tensors, [](const auto& t) {
      return t.name.ends_with("attn_k_b.weight") || t.name.ends_with("attn_v_b.weight");
    });
    model->for_each_parameter([&](const Parameter<float>& p) {
      if (!p.name.ends_with("kv_b_proj.weight")) return;
      const std::string layer = p.name.substr(13, p.name.find('.', 13) - 13);
      tensors.push_back(gguf_float_tensor(fmt::format("blk.{}.attn_kv_b.weight", layer),
                                          {p.rows, p.cols}, p.value.span(), BlockType::kF32));
    });
  });
  const auto read = load_model(path);
  expect_same(*read, *model);
  const std::vector<int> tokens = random_tokens(20, c.vocab_size, 6);
  const Buffer<float> got = full_logits(*read, tokens), wanted = full_logits(*model, tokens);
  EXPECT_EQ(std::memcmp(got.data(), wanted.data(), wanted.bytes()), 0);
}

INSTANTIATE_TEST_SUITE_P(, GgufOfEveryArchitecture, testing::ValuesIn(tiny_configs()),
                         [](const auto& test) { return test.param.name; });

TEST(GgufModel, refuses_what_the_format_has_no_place_for) {
  for (const auto& [name, config] : beyond_configs()) {
    try {
      gguf_config_metadata(config);
      FAIL() << name;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Exit::kUsage);
      const std::string text = e.what(),
                        key = config.experts_vary()
                                  ? "routing.method = '" + config.routing.method + "'"
                                  : "ngram_memory.layers = [0, 2]";
      EXPECT_NE(text.find(key), std::string::npos) << text;
      EXPECT_NE(text.find("GGUF"), std::string::npos) << text;
    }
  }
}

TEST(GgufModel, formats_by_type) {
  const Files files;
  const auto model = random_model(even_config(), 7);
  const auto format = [&](BlockType type, const char* name, int rows, int cols) {
    return GgufModel(files.gguf(*model, type)).read(name, rows, cols).view.format;
  };
  const char* up = "model.layers.1.mlp.experts.2.up_proj.weight";
  EXPECT_EQ(format(BlockType::kF32, up, 32, 64), NumberFormat::kF32);
  EXPECT_EQ(format(BlockType::kF16, up, 32, 64), NumberFormat::kF32);
  EXPECT_EQ(format(BlockType::kBF16, up, 32, 64), NumberFormat::kBF16);
  EXPECT_EQ(format(BlockType::kQ8_0, up, 32, 64), NumberFormat::kInt8);
  EXPECT_EQ(format(BlockType::kQ4_0, up, 32, 64), NumberFormat::kInt4);
  const char* kv_b = "model.layers.0.self_attn.kv_b_proj.weight";
  EXPECT_EQ(format(BlockType::kF32, kv_b, 128, 32), NumberFormat::kF32);
  EXPECT_EQ(format(BlockType::kQ8_0, kv_b, 128, 32), NumberFormat::kBF16);
  EXPECT_EQ(format(BlockType::kQ4_0, "model.layers.1.mlp.gate.weight", 4, 64), NumberFormat::kF32);
}

TEST(GgufModel, rows_that_blocks_do_not_divide_are_bf16) {
  const Files files;
  const auto model = random_model(tiny_config(), 7);
  const GgufModel gguf(files.gguf(*model, BlockType::kQ8_0));
  EXPECT_EQ(gguf.file().find("blk.0.attn_output.weight")->type, BlockType::kBF16);
}

// Read, and written again: the same values, the same bytes.
void expect_exact(BlockType type, NumberFormat format) {
  const Files files;
  const auto model = random_model(even_config(), 8);
  const GgufModel gguf(files.gguf(*model, type));
  const GgufTensor& stored = *gguf.file().find("blk.1.ffn_down_exps.weight");
  ASSERT_EQ(stored.type, type);
  Buffer<float> wanted(stored.elements());
  dequantise(stored.type, stored.bytes, wanted.span());
  for (int e = 0; e < 4; ++e) {
    const std::string name = fmt::format("model.layers.1.mlp.experts.{}.down_proj.weight", e);
    const QuantizedBuffer got = gguf.read(name, 64, 32);
    ASSERT_EQ(got.view.format, format);
    Buffer<float> floats(64 * 32);
    dequantize(got.view, floats.data());
    EXPECT_EQ(std::memcmp(floats.data(), wanted.data() + e * 64 * 32, floats.bytes()), 0) << e;
  }
  const TensorSource source = [&](const std::string& name, int rows, int cols) {
    return gguf.read(name, rows, cols);
  };
  Tensors again = gguf_tensors(gguf.config(), type, source);
  std::vector<uint8_t> back(stored.bytes.size());
  tensor_of(again, "blk.1.ffn_down_exps.weight").fill(back);
  EXPECT_TRUE(std::equal(back.begin(), back.end(), stored.bytes.begin()));
}

TEST(GgufModel, q8_0_is_int8_with_the_same_numbers_and_scales) {
  expect_exact(BlockType::kQ8_0, NumberFormat::kInt8);
}

TEST(GgufModel, q4_0_is_int4_with_the_same_numbers_and_scales) {
  expect_exact(BlockType::kQ4_0, NumberFormat::kInt4);
}

TEST(GgufModel, q8_0_with_a_number_that_int8_has_not_is_float) {
  const Files files;
  const auto model = random_model(even_config(), 8);
  const fs::path path = files.gguf(*model, BlockType::kQ8_0, [&](GgufMetadata&, Tensors& tensors) {
    auto& fill = tensor_of(tensors, "token_embd.weight").fill;
    fill = [old = fill](std::span<uint8_t> out) {
      old(out);
      out[2] = 0x80;
    };
  });
  const GgufModel gguf(path);
  const QuantizedBuffer got = gguf.read("model.embed_tokens.weight", 96, 64);
  ASSERT_EQ(got.view.format, NumberFormat::kF32);
  const GgufTensor& stored = *gguf.file().find("token_embd.weight");
  Buffer<float> wanted(stored.elements());
  dequantise(stored.type, stored.bytes, wanted.span());
  EXPECT_EQ(std::memcmp(got.numbers.data(), wanted.data(), wanted.bytes()), 0);
}

// A tensor of random MXFP4 blocks in the place of the embedding, their exponents from `least` on.
fs::path with_mxfp4(const Files& files, const Model<float>& model, int least, int count) {
  return files.gguf(model, BlockType::kF32, [&](GgufMetadata&, Tensors& tensors) {
    GgufTensorToWrite& tensor = tensor_of(tensors, "token_embd.weight");
    tensor.type = BlockType::kMXFP4;
    tensor.fill = [=](std::span<uint8_t> out) {
      for (size_t i = 0; i < out.size(); ++i)
        out[i] = i % 17 == 0 ? uint8_t(least + int(i / 17) % count)
                             : uint8_t(uniform_below(256, 1, 2, i));
    };
  });
}

TEST(GgufModel, mxfp4_is_mxfp4_with_the_same_values) {
  const Files files;
  const auto model = random_model(even_config(), 9);
  const GgufModel gguf(with_mxfp4(files, *model, 0, 180));
  const GgufTensor& stored = *gguf.file().find("token_embd.weight");
  Buffer<float> wanted(stored.elements()), got(stored.elements());
  dequantise(stored.type, stored.bytes, wanted.span());
  const QuantizedBuffer read = gguf.read("model.embed_tokens.weight", 96, 64);
  ASSERT_EQ(read.view.format, NumberFormat::kMXFP4);
  dequantize(read.view, got.data());
  EXPECT_EQ(std::memcmp(got.data(), wanted.data(), wanted.bytes()), 0);
}

class GgufModelErrors : public testing::Test {
 protected:
  // What reading all of it says.
  std::string error(const std::function<void(GgufMetadata&, Tensors&)>& change,
                    const ModelConfig& config = tiny_config()) {
    const auto model = random_model(config, 10);
    const fs::path path = files_.gguf(*model, BlockType::kF32, change);
    try {
      load_model(path);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Exit::kBadInput);
      EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
      EXPECT_NE(std::string(e.what()).find("model.gguf"), std::string::npos) << e.what();
      return e.what();
    }
    return "";
  }
  std::string setting_error(const std::string& key, GgufSetting value) {
    return error([&](GgufMetadata& m, Tensors&) {
      remove_setting(m, key);
      m.emplace_back(key, value);
    });
  }
  Files files_;
};

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(GgufModelErrors, tensors) {
  const auto without = [&](const char* name) {
    return error([&](GgufMetadata&, Tensors& tensors) {
      std::erase_if(tensors, [&](const auto& t) { return t.name == name; });
    });
  };
  EXPECT_SAYS(without("blk.1.attn_q.weight"), "'blk.1.attn_q.weight' is missing");
  EXPECT_SAYS(without("blk.2.ffn_up_exps.weight"), "'blk.2.ffn_up_exps.weight' is missing");
  EXPECT_SAYS(without("blk.2.attn_v_b.weight"), "'blk.2.attn_v_b.weight' is missing");
  EXPECT_SAYS(without("output_norm.weight"), "'output_norm.weight' is missing");

  const auto reshaped = [&](const char* name, std::vector<int64_t> shape) {
    return error([&](GgufMetadata&, Tensors& tensors) {
      tensor_of(tensors, name) = {name, BlockType::kF32, shape, [](std::span<uint8_t> out) {
                                    std::fill(out.begin(), out.end(), uint8_t(0));
                                  }};
    });
  };
  EXPECT_SAYS(reshaped("blk.0.attn_k_b.weight", {3, 12, 20}),
              "'blk.0.attn_k_b.weight' is [3,12,20]; its metadata (attention.head_count, ");
  EXPECT_SAYS(reshaped("blk.1.ffn_gate_exps.weight", {7, 24, 48}), "asks for [8,24,48]");
  EXPECT_SAYS(reshaped("token_embd.weight", {96, 40}), "(vocab_size, embedding_length)");

  EXPECT_SAYS(error([](GgufMetadata&, Tensors& tensors) {
                tensor_of(tensors, "blk.0.ffn_up.weight").name = "blk.0.ffn_upp.weight";
              }),
              "holds the tensor 'blk.0.ffn_upp.weight'");
  for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    EXPECT_SAYS(error([&](GgufMetadata&, Tensors& tensors) {
                  auto& fill = tensor_of(tensors, "blk.1.attn_output.weight").fill;
                  fill = [old = fill, bad](std::span<uint8_t> out) {
                    old(out);
                    std::memcpy(out.data() + 12, &bad, sizeof bad);
                  };
                }),
                "element 3 is");
  }
}

TEST_F(GgufModelErrors, metadata) {
  EXPECT_SAYS(setting_error("general.architecture", std::string("mamba")),
              "'mamba': supported are 'deepseek2', 'llama' and 'qwen2'");
  EXPECT_SAYS(setting_error("deepseek2.expert_gating_func", uint32_t(3)), "expert_gating_func = 3");
  EXPECT_SAYS(setting_error("deepseek2.rope.scaling.type", std::string("linear")), "'linear'");
  EXPECT_SAYS(setting_error("deepseek2.block_count", uint32_t(1000000)), "block_count = 1000000");
  EXPECT_SAYS(setting_error("deepseek2.expert_count", uint32_t(1 << 20)), "expert_count");
  EXPECT_SAYS(setting_error("deepseek2.embedding_length", int64_t(1) << 40), "embedding_length");
  EXPECT_SAYS(setting_error("deepseek2.attention.head_count", std::string("3")), "want an integer");
  EXPECT_SAYS(setting_error("deepseek2.attention.key_length_mla", uint32_t(4)), "qk_nope_head_dim");
  for (const char* key : {"embedding_length", "block_count", "attention.kv_lora_rank",
                          "attention.layer_norm_rms_epsilon", "context_length"}) {
    const std::string full = std::string("deepseek2.") + key;
    EXPECT_SAYS(error([&](GgufMetadata& m, Tensors&) { remove_setting(m, full); }), full);
  }
}

TEST_F(GgufModelErrors, mxfp4_beyond_float) {
  const auto model = random_model(even_config(), 11);
  try {
    load_model(with_mxfp4(files_, *model, 253, 1));
    FAIL();
  } catch (const Error& e) {
    EXPECT_SAYS(std::string(e.what()), "exponent of block 0 is 253");
  }
}

TEST_F(GgufModelErrors, a_number_that_is_none_in_every_type) {
  ModelConfig config = even_config();
  config.hidden_size = 256;  // a block of every type
  struct Case {
    BlockType type;
    size_t at;  // of a number or a scale in its block
    uint16_t bits;
  };
  constexpr uint16_t kNaN = 0x7e00, kInfinity = 0x7c00;  // as f16
  for (const Case& bad : {Case{BlockType::kF32, 2, 0x7fc0}, Case{BlockType::kF16, 0, kNaN},
                          Case{BlockType::kBF16, 0, 0xff80}, Case{BlockType::kQ4_0, 0, kNaN},
                          Case{BlockType::kQ4_1, 0, kNaN}, Case{BlockType::kQ4_1, 2, kInfinity},
                          Case{BlockType::kQ5_0, 0, kInfinity}, Case{BlockType::kQ5_1, 0, kNaN},
                          Case{BlockType::kQ5_1, 2, kNaN}, Case{BlockType::kQ8_0, 0, kInfinity},
                          Case{BlockType::kQ4_K, 0, kNaN}, Case{BlockType::kQ4_K, 2, kInfinity},
                          Case{BlockType::kQ5_K, 0, kInfinity}, Case{BlockType::kQ5_K, 2, kNaN},
                          Case{BlockType::kQ6_K, 208, kNaN}, Case{BlockType::kMXFP4, 0, 0xffff}}) {
    const BlockLayout& block = block_layout(bad.type);
    const auto message = [&](uint16_t bits) {
      return error(
          [&](GgufMetadata&, Tensors& tensors) {
            GgufTensorToWrite& tensor = tensor_of(tensors, "token_embd.weight");
            tensor.type = bad.type;
            tensor.fill = [&, bits](std::span<uint8_t> out) {
              std::ranges::fill(out, uint8_t(0));
              const size_t bytes = size_t(block.bytes), middle = out.size() / bytes / 2 * bytes;
              std::memcpy(out.data() + middle + bad.at, &bits, sizeof bits);
            };
          },
          config);
    };
    EXPECT_EQ(message(0), "") << block.name;
    EXPECT_SAYS(message(bad.bits), "token_embd.weight") << block.name << " byte " << bad.at;
  }
}

TEST_F(GgufModelErrors, two_scales_of_yarn_cannot_be_written) {
  ModelConfig config = tiny_config();
  config.rope_scaling.factor = 4;
  config.rope_scaling.mscale_all_dim = 0.7;
  EXPECT_THROW(gguf_config_metadata(config), Error);
}

TEST(GgufModel, what_a_file_may_leave_out) {
  const Files files;
  ModelConfig c = tiny_config();
  c.num_nextn_predict_layers = 1;
  c.scoring_func = "softmax";
  c.norm_topk_prob = false;
  const auto model = random_model(c, 12);
  const fs::path path = files.gguf(*model, BlockType::kF32, [&](GgufMetadata& m, Tensors& tensors) {
    for (const char* key : {"expert_gating_func", "expert_weights_norm", "expert_weights_scale"})
      remove_setting(m, std::string("deepseek2.") + key);
    std::erase_if(tensors, [](const auto& t) {
      return t.name.starts_with("blk.3.") || t.name.ends_with("exp_probs_b.bias");
    });
  });
  const auto read = load_model(path);
  EXPECT_EQ(read->config().num_nextn_predict_layers, 0);
  EXPECT_EQ(read->config().num_hidden_layers, 3);
  EXPECT_EQ(read->config().scoring_func, "softmax");
  EXPECT_FALSE(read->config().norm_topk_prob);
  EXPECT_EQ(read->config().routed_scaling_factor, 1);
  read->for_each_parameter([](const Parameter<float>& p) {
    if (!p.name.ends_with("e_score_correction_bias")) return;
    for (int64_t i = 0; i < p.size(); ++i) EXPECT_EQ(p.value[i], 0);
  });
}

}  // namespace
}  // namespace shenhong
