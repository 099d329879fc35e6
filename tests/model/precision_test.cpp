// Training in few bits: the products of a linear layer against sums written out here, the whole
// model against PyTorch (tests/oracle/precision_golden.py), and what must not depend on threads.
#include "model/precision.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/parallel.h"
#include "formats/safetensors.h"
#include "kernels/hadamard.h"
#include "kernels/quantized_matrix.h"
#include "model/linear.h"
#include "model/model_directory.h"
#include "model/quantize_directory.h"
#include "toy.h"

namespace shenhong {
namespace {

using enum NumberFormat;

constexpr Precision kLow[] = {Precision::kBF16,  Precision::kFP8,  Precision::kNVFP4,
                              Precision::kMXFP4, Precision::kInt8, Precision::kMix};

TEST(PrecisionNames, an_unknown_one_is_an_error_that_lists_the_known) {
  EXPECT_EQ(precision_named("nvfp4", "recipe"), Precision::kNVFP4);
  for (const char* name : {"", "fp16", "FP8", "f32 "}) {
    try {
      precision_named(name, "recipe");
      FAIL() << name;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Exit::kUsage);
      EXPECT_NE(std::string(e.what()).find("f32, bf16, fp8, nvfp4, mxfp4, int8, mix"),
                std::string::npos)
          << e.what();
    }
  }
}

TEST(Arithmetics, leave_embedding_head_and_router_in_float_and_the_last_blocks_in_bf16) {
  const Arithmetics fp8(Precision::kFP8, 27, false, 1), nvfp4(Precision::kNVFP4, 27, false, 1);
  for (const char* name :
       {"model.embed_tokens.weight", "lm_head.weight", "model.norm.weight",
        "model.layers.5.mlp.gate.weight", "model.layers.5.ngram_memory.embed.weight"}) {
    EXPECT_EQ(fp8.of(name), nullptr) << name;
    EXPECT_EQ(nvfp4.of(name), nullptr) << name;
  }
  const auto format = [](const Arithmetics& a, int layer) {
    return a.of("model.layers." + std::to_string(layer) + ".mlp.experts.3.up_proj.weight")
        ->input.format;
  };
  EXPECT_EQ(format(fp8, 0), kFP8);
  EXPECT_EQ(format(fp8, 27), kFP8);  // the first module's
  EXPECT_EQ(format(nvfp4, 0), kNVFP4);
  EXPECT_EQ(format(nvfp4, 21), kNVFP4);
  EXPECT_EQ(format(nvfp4, 22), kBF16);
  EXPECT_EQ(format(nvfp4, 27), kBF16);
}

Buffer<float> rounded(const Grid& grid, const Buffer<float>& x, int rows, int cols) {
  Buffer<float> out(x.size());
  round_to_grid(grid, x.data(), out.data(), rows, cols);
  return out;
}

Buffer<float> normal_matrix(int rows, int cols, uint64_t stream) {
  Buffer<float> x(int64_t(rows) * cols);
  for (int64_t i = 0; i < x.size(); ++i) x[i] = float(normal(3, stream, uint64_t(i)));
  return x;
}

// Frobenius norm of the difference, relative to that of `want`.
double off(const Buffer<float>& got, const std::vector<double>& want) {
  double error = 0, size = 0;
  for (int64_t i = 0; i < got.size(); ++i) {
    error += (got[i] - want[i]) * (got[i] - want[i]);
    size += want[i] * want[i];
  }
  return std::sqrt(error / size);
}

// One linear layer of sizes that no tile divides.
struct Layer {
  static constexpr int kTokens = 150, kIn = 160, kOut = 133;
  Arithmetics arithmetics;
  Parameter<float> w =
      Parameter<float>::matrix("model.layers.0.mlp.experts.0.up_proj.weight", kOut, kIn);
  Buffer<float> x = normal_matrix(kTokens, kIn, 1), dy = normal_matrix(kTokens, kOut, 2);
  Buffer<float> y{kTokens * kOut}, dx{kTokens * kIn};

  explicit Layer(Precision precision) : arithmetics(precision, 20, false, 5) {
    w.arithmetic = arithmetics.of(w.name);
    w.value = normal_matrix(kOut, kIn, 3);
    w.grad.resize_zero(w.size());
  }
  void run() {
    linear(x.data(), w, y.data(), kTokens, Write::kReplace);
    linear_backward_input(dy.data(), w, dx.data(), kTokens, Write::kReplace);
    linear_backward_weight(dy.data(), x.data(), w, kTokens);
  }
};

// Σ_k a(i, k) b(j, k) for all i, j.
template <class A, class B>
std::vector<double> sums(int I, int J, int K, const A& a, const B& b) {
  std::vector<double> out(size_t(I) * J);
  for (int i = 0; i < I; ++i)
    for (int j = 0; j < J; ++j)
      for (int k = 0; k < K; ++k) out[size_t(i) * J + j] += double(a(i, k)) * double(b(j, k));
  return out;
}

TEST(Linear, products_are_sums_over_operands_on_their_grids) {
  constexpr int T = Layer::kTokens, I = Layer::kIn, O = Layer::kOut;
  const struct {
    Precision precision;
    Grid input, weight, weight_back, gradient, input_tokens, gradient_tokens;
  } kCases[] = {{Precision::kBF16, {kBF16}, {kBF16}, {kBF16}, {kBF16}, {kBF16}, {kBF16}},
                {Precision::kFP8,
                 {kFP8, 1, 128},
                 {kFP8, 128, 128},
                 {kFP8, 128, 128},
                 {kFP8, 1, 128},
                 {kFP8, 128, 1},
                 {kFP8, 128, 1}},
                {Precision::kInt8,
                 {kInt8, 1, 32},
                 {kInt8, 1, 32},
                 {kInt8, 32, 1},
                 {kInt8, 1, 32},
                 {kInt8, 32, 1},
                 {kInt8, 32, 1}}};
  for (const auto& c : kCases) {
    Layer l(c.precision);
    l.run();
    const Buffer<float> x = rounded(c.input, l.x, T, I), w = rounded(c.weight, l.w.value, O, I),
                        wb = rounded(c.weight_back, l.w.value, O, I),
                        g = rounded(c.gradient, l.dy, T, O), xt = rounded(c.input_tokens, x, T, I),
                        gt = rounded(c.gradient_tokens, l.dy, T, O);
    EXPECT_LE(off(l.y, sums(
                           T, O, I, [&](int t, int i) { return x[t * I + i]; },
                           [&](int o, int i) { return w[o * I + i]; })),
              1e-6);
    EXPECT_LE(off(l.dx, sums(
                            T, I, O, [&](int t, int o) { return g[t * O + o]; },
                            [&](int i, int o) { return wb[o * I + i]; })),
              1e-6);
    EXPECT_LE(off(l.w.grad, sums(
                                O, I, T, [&](int o, int t) { return gt[t * O + o]; },
                                [&](int i, int t) { return xt[t * I + i]; })),
              1e-6);
  }
}

// What rounding takes from each product, as the formats' bands say (techniques 3.5), twice for the
// stochastic gradients; and the mean over many passes is what rounding of the other operand leaves.
TEST(Linear, four_bits_lose_what_they_must_and_gradients_are_unbiased) {
  constexpr int T = Layer::kTokens, I = Layer::kIn, O = Layer::kOut;
  for (const Precision precision : {Precision::kNVFP4, Precision::kMXFP4}) {
    Layer l(precision);
    l.run();
    const auto x = [&](int t, int i) { return l.x[t * I + i]; };
    const auto w = [&](int o, int i) { return l.w.value[o * I + i]; };
    const auto exact_dx = sums(
        T, I, O, [&](int t, int o) { return l.dy[t * O + o]; },
        [&](int i, int o) { return w(o, i); });
    const auto exact_dw = sums(
        O, I, T, [&](int o, int t) { return l.dy[t * O + o]; },
        [&](int i, int t) { return x(t, i); });
    EXPECT_NEAR(off(l.y, sums(T, O, I, x, w)), 0.155, 0.03);
    EXPECT_NEAR(off(l.dx, exact_dx), 0.195, 0.04);
    EXPECT_NEAR(off(l.w.grad, exact_dw), 0.195, 0.04);

    // dy alone is rounded by chance: the mean over passes comes closer like one over the root.
    const Buffer<float> wb = rounded(l.w.arithmetic->weight_back, l.w.value, O, I);
    const auto of_rounded = sums(
        T, I, O, [&](int t, int o) { return l.dy[t * O + o]; },
        [&](int i, int o) { return wb[o * I + i]; });
    Buffer<float> mean(l.dx.size());
    mean.zero();
    const int passes = 64;
    for (int pass = 0; pass < passes; ++pass) {
      l.arithmetics.set_pass(uint64_t(pass));
      linear_backward_input(l.dy.data(), l.w, l.dx.data(), T, Write::kReplace);
      for (int64_t i = 0; i < mean.size(); ++i) mean[i] += l.dx[i] / float(passes);
    }
    const double one = off(l.dx, of_rounded);
    EXPECT_GT(one, 0.1);
    EXPECT_LT(off(mean, of_rounded), 1.4 * one / std::sqrt(double(passes)));
  }
}

TEST(Linear, a_pass_draws_the_same_again_and_another_pass_draws_anew) {
  const auto gradients = [](uint64_t pass) {
    Layer l(Precision::kNVFP4);
    l.arithmetics.set_pass(pass);
    l.run();
    std::vector<float> all(l.dx.begin(), l.dx.end());
    all.insert(all.end(), l.w.grad.begin(), l.w.grad.end());
    return all;
  };
  EXPECT_EQ(gradients(7), gradients(7));
  EXPECT_NE(gradients(7), gradients(8));
}

// Training for a format sees the bits of that format: weights of the file, activations of decoding.
TEST(Linear, mix_multiplies_what_quantize_stores_and_passes_gradients_straight_through) {
  constexpr int T = Layer::kTokens, I = Layer::kIn, O = Layer::kOut;
  Layer l(Precision::kMix);
  l.run();
  const NumberFormat stored = format_of(Recipe::kMix, l.w.name, false);
  EXPECT_EQ(stored, kNVFP4);
  Buffer<float> w(l.w.size()), want(l.y.size());
  dequantize(quantize(stored, O, I, l.w.value.data()).view, w.data());
  const Buffer<float> x = rounded({kInt8, 1, 32}, l.x, T, I);
  const auto same = [](const Buffer<float>& a, const Buffer<float>& b) {
    for (int64_t i = 0; i < a.size(); ++i) ASSERT_EQ(a[i], b[i]);
  };
  matmul_nt(x.data(), w.data(), want.data(), T, O, I, Write::kReplace);
  same(l.y, want);
  want.resize(l.dx.size());
  matmul_nn(l.dy.data(), w.data(), want.data(), T, I, O, Write::kReplace);
  same(l.dx, want);
  want.resize(l.w.size());
  matmul_tn(l.dy.data(), x.data(), want.data(), O, I, T, Write::kReplace);
  same(l.w.grad, want);
}

// Widths that all formats' blocks divide.
ModelConfig block_config() {
  ModelConfig c = toy_config();
  c.hidden_size = 32;
  c.num_attention_heads = 2;
  c.v_head_dim = 16;
  c.intermediate_size = 64;
  c.moe_intermediate_size = 32;
  c.initializer_range = 0.06;
  return c;
}

struct Pass {
  LossSums sums;
  std::vector<float> gradients;
  ActivationBytes bytes;
};

Pass pass_of(Precision precision, const ModelConfig& config) {
  Model<float> model(config);
  model.initialize(4);
  model.set_precision(precision, 9);
  model.allocate_gradients();
  model.set_pass(3);
  Pass pass;
  pass.sums = model.forward_backward(toy_batch(config, 3, 20), 0.1, 0.03);
  pass.bytes = model.activation_bytes();
  model.for_each_parameter([&](Parameter<float>& p) {
    pass.gradients.insert(pass.gradients.end(), p.grad.begin(), p.grad.end());
  });
  return pass;
}

double cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += double(a[i]) * double(b[i]);
    aa += double(a[i]) * double(a[i]);
    bb += double(b[i]) * double(b[i]);
  }
  return ab / std::sqrt(aa * bb);
}

TEST(LowPrecisionModel, one_thread_and_many_give_the_same_bits) {
  for (const Precision precision : kLow) {
    set_thread_count(1);
    const Pass one = pass_of(precision, block_config());
    set_thread_count(3);
    const Pass three = pass_of(precision, block_config());
    EXPECT_EQ(one.sums.nats, three.sums.nats);
    EXPECT_EQ(one.gradients, three.gradients) << int(precision);
  }
}

TEST(LowPrecisionModel, gradients_point_where_those_of_float_do) {
  const Pass plain = pass_of(Precision::kF32, block_config());
  for (const auto& [precision, least] : {std::pair(Precision::kBF16, 0.9995),
                                         {Precision::kFP8, 0.98},
                                         {Precision::kInt8, 0.995},
                                         {Precision::kNVFP4, 0.85},
                                         {Precision::kMXFP4, 0.8},
                                         {Precision::kMix, 0.95}}) {
    const Pass low = pass_of(precision, block_config());
    EXPECT_GT(cosine(low.gradients, plain.gradients), least) << int(precision);
    EXPECT_NE(low.gradients, plain.gradients);
    EXPECT_NEAR(low.sums.nats[0] / plain.sums.nats[0], 1, 0.05);
  }
}

TEST(LowPrecisionModel, activations_wait_in_the_bytes_of_their_formats) {
  const Pass plain = pass_of(Precision::kF32, block_config());
  EXPECT_EQ(plain.bytes.held, plain.bytes.plain);
  for (const auto& [precision, most] :
       {std::pair(Precision::kBF16, 0.65), {Precision::kFP8, 0.6}, {Precision::kNVFP4, 0.65}}) {
    const Pass low = pass_of(precision, block_config());
    EXPECT_EQ(low.bytes.plain, plain.bytes.plain);
    EXPECT_LT(double(low.bytes.held), most * double(plain.bytes.held)) << int(precision);
  }
}

TEST(LowPrecisionModel, f32_is_the_model_without_a_precision_to_the_bit) {
  const ModelConfig config = toy_config();
  Model<float> plain(config), named(config);
  named.set_precision(Precision::kF32, 1);
  for (Model<float>* model : {&plain, &named}) {
    model->initialize(4);
    model->allocate_gradients();
    model->forward_backward(toy_batch(config, 3, 20), 0.1, 0.03);
  }
  std::vector<const Buffer<float>*> grads;
  plain.for_each_parameter([&](Parameter<float>& p) { grads.push_back(&p.grad); });
  size_t at = 0;
  named.for_each_parameter([&](Parameter<float>& p) {
    EXPECT_EQ(p.arithmetic, nullptr);
    EXPECT_TRUE(std::equal(p.grad.begin(), p.grad.end(), grads[at++]->begin())) << p.name;
  });
}

TEST(LowPrecisionModel, mix_refuses_rows_that_are_no_whole_blocks_by_name) {
  Model<float> model(toy_config());
  try {
    model.set_precision(Precision::kMix, 1);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Exit::kUsage);
    EXPECT_NE(std::string(e.what()).find("rows of 12"), std::string::npos) << e.what();
  }
}

// Forward, backward and what is kept between them, of fp8 and nvfp4 (random numbers included)
// against a writing in PyTorch with products in float64.
class PrecisionOracle : public testing::TestWithParam<const char*> {};

TEST_P(PrecisionOracle, loss_and_every_gradient_are_pytorchs) {
  const fs::path root = fs::path(SHENHONG_SOURCE_DIR) / "tests/golden";
  const std::unique_ptr<Model<float>> model = load_model(root / "dsv3_tiny");
  const Safetensors io(root / "dsv3_tiny/io.safetensors");
  const Safetensors golden(root / "precision" / (std::string(GetParam()) + ".safetensors"));
  const TensorView* tokens = io.find("tokens");
  ASSERT_TRUE(tokens);
  const int columns = int(tokens->shape[1]);
  Batch batch;
  batch.B = int(tokens->shape[0]);
  batch.T = columns - 1 - model->config().num_nextn_predict_layers;
  for (int b = 0; b < batch.B; ++b)
    for (int t = 0; t + 1 < columns; ++t) {
      int64_t pair[2];
      std::memcpy(pair, tokens->bytes.data() + (size_t(b) * columns + t) * 8, 16);
      batch.tokens.push_back(int(pair[0]));
      batch.targets.push_back(int(pair[1]));
    }
  const double N = double(batch.B) * batch.T;
  model->set_precision(precision_named(GetParam(), "recipe"), 42);
  model->set_pass(5);
  model->allocate_gradients();
  const LossSums got = model->forward_backward(batch, 1 / N, 0.3 / N);
  const auto floats = [&](const std::string& name) {
    const TensorView* tensor = golden.find(name);
    EXPECT_TRUE(tensor) << name;
    std::vector<float> values(size_t(tensor ? tensor->elements() : 0));
    if (tensor) read_floats(*tensor, name, values);
    return values;
  };
  const std::vector<float> losses = floats("losses");
  EXPECT_NEAR(got.nats[0] / N, losses[0], 1e-5 * losses[0]);
  EXPECT_NEAR(got.nats[1] / N, losses[1], 1e-5 * losses[1]);
  size_t compared = 0;
  double error = 0, size = 0;
  model->for_each_parameter([&](Parameter<float>& p) {
    if (p.name.ends_with("e_score_correction_bias")) return;
    const std::vector<float> want = floats(p.name);
    // A number on the edge between two of a grid may fall to either side.
    EXPECT_LE(off(p.grad, {want.begin(), want.end()}), 1e-2) << p.name;
    for (int64_t i = 0; i < p.size(); ++i) {
      error += (double(p.grad[i]) - want[i]) * (double(p.grad[i]) - want[i]);
      size += double(want[i]) * want[i];
    }
    ++compared;
  });
  EXPECT_LE(std::sqrt(error / size), 5e-4);
  EXPECT_EQ(compared + 1, golden.tensors().size());
}

INSTANTIATE_TEST_SUITE_P(Recipes, PrecisionOracle, testing::Values("fp8", "nvfp4"),
                         [](const auto& of) { return std::string(of.param); });

}  // namespace
}  // namespace shenhong
