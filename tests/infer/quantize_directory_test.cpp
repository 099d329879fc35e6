// Model directories in every number format: what is written is what quantising gives, what decoding
// reads is what is written, and what contradicts itself is refused by name.
#include "model/quantize_directory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/json.h"
#include "infer/decoder.h"
#include "infer/score.h"
#include "infer/tiny_models.h"
#include "model/model_directory.h"
#include "model/weight_files.h"

namespace shenhong {
namespace {

constexpr Recipe kRecipes[] = {Recipe::kBF16,  Recipe::kFP8,   Recipe::kInt8, Recipe::kInt4,
                               Recipe::kNVFP4, Recipe::kMXFP4, Recipe::kMix};

// In widths that every format has blocks for.
ModelConfig block_config() {
  ModelConfig c = tiny_config();
  c.hidden_size = 64;
  c.kv_lora_rank = 32;
  c.num_attention_heads = 4;
  c.v_head_dim = 16;
  c.intermediate_size = 96;
  c.moe_intermediate_size = 32;
  c.num_nextn_predict_layers = 1;
  return c;
}

class QuantizeDirectory : public testing::Test {
 protected:
  QuantizeDirectory()
      : root_(fs::temp_directory_path() / ("quantize-" + std::to_string(::getpid()))) {
    fs::remove_all(root_);
    save_model(*random_model(block_config(), 21), root_ / "in", WeightFormat::kF32);
    write_file(root_ / "in" / "tokenizer.json", "{}");
  }
  ~QuantizeDirectory() override { fs::remove_all(root_); }

  std::string refusal(const std::function<void()>& run) {
    try {
      run();
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing was refused";
  }
  // Rewrites the file's tensors as `change` leaves them.
  void rewrite(const fs::path& directory, const std::function<void(TensorToWrite&)>& change) {
    const Safetensors file(directory / "model.safetensors");
    std::vector<TensorToWrite> tensors;
    std::vector<std::vector<uint8_t>> bytes;
    for (const auto& [name, view] : file.tensors()) {
      const std::vector<uint8_t> copy(view.bytes.begin(), view.bytes.end());
      tensors.push_back({name, view.dtype, view.shape, [copy](std::span<uint8_t> to) {
                           if (!copy.empty()) std::memcpy(to.data(), copy.data(), to.size());
                         }});
      change(tensors.back());
      if (tensors.back().name.empty()) tensors.pop_back();
    }
    write_safetensors(directory / "changed.safetensors", tensors);
    fs::rename(directory / "changed.safetensors", directory / "model.safetensors");
  }

  fs::path root_;
};

TEST_F(QuantizeDirectory, writes_what_quantising_gives_and_reads_it_back) {
  const auto before = load_model(root_ / "in");
  for (const Recipe recipe : kRecipes) {
    const fs::path out = root_ / ("out" + std::to_string(int(recipe)));
    quantize_directory(root_ / "in", out, recipe);
    EXPECT_TRUE(fs::exists(out / "tokenizer.json"));
    const auto after = load_model(out);
    std::vector<const Parameter<float>*> all;
    after->for_each_parameter([&](Parameter<float>& p) { all.push_back(&p); });
    size_t i = 0;
    before->for_each_parameter([&](Parameter<float>& p) {
      const Parameter<float>& q = *all[i++];
      ASSERT_EQ(p.name, q.name);
      const NumberFormat format =
          p.is_vector ? NumberFormat::kF32 : format_of(recipe, p.name, /*tied=*/false);
      Buffer<float> want(p.size());
      dequantize(quantize(format, p.rows, p.cols, p.w()).view, want.data());
      for (int64_t k = 0; k < p.size(); ++k)  // nvfp4's tensor scale is stored as its inverse
        ASSERT_NEAR(q.value[k], want[k], 1e-6 * std::abs(want[k])) << p.name << " " << int(recipe);
    });
  }
}

// The panels of a stored format give the logits of a model whose weights are its dequantised ones,
// but for the activations' own rounding. Every expert is used, so that rounding cannot choose.
TEST_F(QuantizeDirectory, decoding_reads_what_was_written) {
  ModelConfig config = block_config();
  config.n_routed_experts = config.num_experts_per_tok;
  save_model(*random_model(config, 23), root_ / "in", WeightFormat::kF32);
  const std::vector<int> tokens = random_tokens(24, block_config().vocab_size, 5);
  for (const Recipe recipe : kRecipes) {
    const fs::path out = root_ / ("out" + std::to_string(int(recipe)));
    quantize_directory(root_ / "in", out, recipe);
    const auto weights = load_weights(out);
    const Buffer<float> wanted = full_logits(*load_model(out), tokens);
    Decoder decoder(*weights);
    PagePool pool(weights->config(), cache_bytes(weights->config(), 24));
    Sequence sequence(pool, tokens);
    const auto logits = decoder.forward(sequence, 24, 24);
    double error = 0, size = 0;
    for (int64_t i = 0; i < wanted.size(); ++i) {
      error += std::pow(double(logits[size_t(i)]) - wanted[i], 2);
      size += std::pow(double(wanted[i]), 2);
    }
    const bool plain = recipe == Recipe::kBF16 || recipe == Recipe::kFP8;
    EXPECT_LE(std::sqrt(error / size), plain ? 1e-5 : 0.05) << int(recipe);
  }
}

TEST_F(QuantizeDirectory, scores_a_text_as_the_training_model_does) {
  const auto model = load_model(root_ / "in");
  Batch batch{2, 20, {}, {}};
  batch.tokens = random_tokens(2 * 21, block_config().vocab_size, 9);
  batch.targets = random_tokens(2 * 21, block_config().vocab_size, 10);
  batch.targets[3] = Batch::kIgnore;
  const LossSums wanted = model->evaluate(batch);
  const auto weights = load_weights(root_ / "in");
  Decoder decoder(*weights);
  PagePool pool(weights->config(), cache_bytes(weights->config(), batch.T));
  const LossSums got = score(decoder, pool, batch);
  EXPECT_EQ(got.counts[0], wanted.counts[0]);
  EXPECT_NEAR(got.nats[0], wanted.nats[0], 1e-4 * wanted.nats[0]);
}

TEST_F(QuantizeDirectory, counts_the_bytes_that_a_token_reads) {
  const ModelConfig config = block_config();
  const auto model = load_model(root_ / "in");
  const double plain = stored_bytes(root_ / "in").all;
  EXPECT_EQ(plain, 4.0 * double(model->parameter_count()));
  // Not read: two layers' experts that a token does not choose, the embedding's other rows, and the
  // prediction module.
  double unread = 4.0 * double(model->embed_tokens.size());
  const Mlp<float>& expert = model->layers[1].moe->experts[0];
  const int idle = config.n_routed_experts - config.num_experts_per_tok;
  unread += 2.0 * idle * 4 * 3 * double(expert.gate_proj.size());
  model->for_each_parameter([&](Parameter<float>& p) {
    if (p.name.starts_with("model.layers.3.")) unread += 4.0 * double(p.size());
  });
  EXPECT_EQ(stored_bytes(root_ / "in").per_token, plain - unread);
  quantize_directory(root_ / "in", root_ / "out", Recipe::kInt8);
  EXPECT_LT(stored_bytes(root_ / "out").per_token, 0.35 * (plain - unread));
}

TEST_F(QuantizeDirectory, what_does_not_fit_is_refused_by_name_and_nothing_stays_behind) {
  EXPECT_NE(refusal([] { parse_recipe("int3"); }).find("bf16, fp8, int8, int4, nvfp4, mxfp4, mix"),
            std::string::npos);
  EXPECT_NE(refusal([&] {
              quantize_directory(root_ / "in", root_ / "in", Recipe::kFP8);
            }).find("is there already"),
            std::string::npos);
  ModelConfig odd = block_config();
  odd.moe_intermediate_size = 40;
  save_model(*random_model(odd, 22), root_ / "odd", WeightFormat::kF32);
  const std::string message =
      refusal([&] { quantize_directory(root_ / "odd", root_ / "out", Recipe::kInt8); });
  EXPECT_NE(message.find("down_proj.weight' has rows of 40; int8 wants a multiple of 32"),
            std::string::npos)
      << message;
  EXPECT_FALSE(fs::exists(root_ / "out"));
  EXPECT_FALSE(fs::exists(root_ / "out.partial"));
  quantize_directory(root_ / "odd", root_ / "out", Recipe::kFP8);
}

TEST_F(QuantizeDirectory, broken_scales_are_refused_by_name) {
  const auto broken = [&](Recipe recipe, const std::function<void(TensorToWrite&)>& change) {
    const fs::path out = root_ / "broken";
    fs::remove_all(out);
    quantize_directory(root_ / "in", out, recipe);
    rewrite(out, change);
    return refusal([&] { load_weights(out); });
  };
  const auto has = [](const std::string& text, const char* part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  has(broken(Recipe::kFP8,
             [](TensorToWrite& t) {
               if (t.name.ends_with("o_proj.weight_scale_inv")) t.name.clear();
             }),
      "o_proj.weight_scale_inv' is missing");
  has(broken(Recipe::kFP8,
             [](TensorToWrite& t) {
               if (t.name.ends_with("o_proj.weight"))
                 t.fill = [](std::span<uint8_t> to) { std::memset(to.data(), 0x7f, to.size()); };
             }),
      "o_proj.weight': element 0 is nan");
  has(broken(Recipe::kInt8,
             [](TensorToWrite& t) {
               if (t.name.ends_with("o_proj.weight_scale")) t.dtype = "BF16";
             }),
      "o_proj.weight_scale' is BF16 [64,2]; the weight that it goes with asks for F16 [64,2]");
  has(broken(Recipe::kNVFP4,
             [](TensorToWrite& t) {
               if (t.name.ends_with("o_proj.weight_global_scale"))
                 t.fill = [](std::span<uint8_t> to) { std::memset(to.data(), 0, to.size()); };
             }),
      "o_proj.weight_global_scale' is 0");
  has(broken(Recipe::kMXFP4,
             [](TensorToWrite& t) {
               if (t.name.ends_with("o_proj.weight_scale"))
                 t.fill = [](std::span<uint8_t> to) { std::memset(to.data(), 0xff, to.size()); };
             }),
      "o_proj.weight_scale': element 0 is nan");
}

}  // namespace
}  // namespace shenhong
