#include "train/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "core/error.h"
#include "core/parallel.h"
#include "core/random.h"
#include "formats/safetensors.h"

namespace shenhong {
namespace {

Parameter<float> with_gradient(Parameter<float> parameter) {
  parameter.grad.resize_zero(parameter.size());
  return parameter;
}

void fill(Buffer<float>& values, uint64_t stream, double scale = 1) {
  for (int64_t i = 0; i < values.size(); ++i)
    values[i] = float(scale * normal(7, stream, uint64_t(i)));
}

// Made by tests/oracle/optimizer_golden.py.
class OptimizerGolden : public testing::Test {
 protected:
  void expect_match(const std::string& method, const OptimizerConfig& config,
                    const std::vector<std::string>& names) {
    const Safetensors golden(fs::path(SHENHONG_SOURCE_DIR) / "tests/golden/optimizer.safetensors");
    const auto read = [&](const std::string& name, Buffer<float>& out) {
      read_floats(*golden.find(name), name, out.span());
    };
    std::vector<Parameter<float>> parameters;
    for (const std::string& name : names) {
      const auto& shape = golden.find(name + ".start")->shape;
      parameters.push_back(with_gradient(
          shape.size() == 1 ? Parameter<float>::vector(name, int(shape[0]))
                            : Parameter<float>::matrix(name, int(shape[0]), int(shape[1]))));
      read(name + ".start", parameters.back().value);
    }
    std::vector<Parameter<float>*> pointers;
    for (auto& parameter : parameters) pointers.push_back(&parameter);
    Optimizer optimizer(config, pointers);
    for (int step = 0; step < 4; ++step) {
      for (auto& parameter : parameters)
        read(fmt::format("{}.grad.{}", parameter.name, step), parameter.grad);
      optimizer.step(0.01, 0.5);
      for (auto& parameter : parameters) {
        Buffer<float> wanted(parameter.size());
        read(fmt::format("{}.{}.{}", parameter.name, method, step), wanted);
        for (int64_t i = 0; i < wanted.size(); ++i)
          ASSERT_NEAR(parameter.value[i], wanted[i], 2e-6)
              << parameter.name << " " << step << " " << i;
      }
    }
  }
};

TEST_F(OptimizerGolden, adamw_is_pytorchs) {
  expect_match("adamw", {.method = "adamw"}, {"wide", "tall", "gain"});
}

TEST_F(OptimizerGolden, muon_is_its_definition_in_float64) {
  expect_match("jordan", {.method = "muon"}, {"wide", "tall"});
  expect_match("polar", {.method = "muon", .newton_schulz = "polar"}, {"wide", "tall"});
}

// The parameters of a small model, by name alone.
std::vector<Parameter<float>> small_model() {
  using P = Parameter<float>;
  std::vector<P> out;
  for (auto& parameter : {P::matrix("model.embed_tokens.weight", 300, 256),
                          P::matrix("model.layers.0.self_attn.o_proj.weight", 64, 32),
                          P::vector("model.layers.0.input_layernorm.weight", 64),
                          P::matrix("model.layers.0.mlp.gate.weight", 8, 64),
                          P::vector("model.layers.0.mlp.gate.e_score_correction_bias", 8),
                          P::matrix("model.layers.0.mlp.experts.0.gate_proj.weight", 48, 64),
                          P::matrix("lm_head.weight", 300, 64)}) {
    out.push_back(with_gradient(parameter));
    fill(out.back().value, out.size());
    fill(out.back().grad, 100 + out.size(), 0.01);
  }
  return out;
}

std::vector<Parameter<float>*> pointers_to(std::vector<Parameter<float>>& parameters) {
  std::vector<Parameter<float>*> out;
  for (auto& parameter : parameters) out.push_back(&parameter);
  return out;
}

TEST(Optimizer, muon_takes_hidden_matrices_and_nobody_the_router_bias) {
  auto model = small_model();
  Optimizer optimizer({}, pointers_to(model));
  std::map<std::string, int> state;
  optimizer.for_each_state(
      [&](const std::string& name, Moments& values) { state[name] = int(values.size()); });
  EXPECT_EQ(state, (std::map<std::string, int>{
                       {"model.embed_tokens.weight.exp_avg", 300 * 256},
                       {"model.embed_tokens.weight.exp_avg_sq", 300 * 256},
                       {"model.layers.0.self_attn.o_proj.weight.momentum_buffer", 64 * 32},
                       {"model.layers.0.input_layernorm.weight.exp_avg", 64},
                       {"model.layers.0.input_layernorm.weight.exp_avg_sq", 64},
                       {"model.layers.0.mlp.gate.weight.exp_avg", 8 * 64},
                       {"model.layers.0.mlp.gate.weight.exp_avg_sq", 8 * 64},
                       {"model.layers.0.mlp.experts.0.gate_proj.weight.momentum_buffer", 48 * 64},
                       {"lm_head.weight.exp_avg", 300 * 64},
                       {"lm_head.weight.exp_avg_sq", 300 * 64}}));
  const Buffer<float> bias = model[4].value;
  optimizer.step(0.1, 1);
  for (int64_t i = 0; i < bias.size(); ++i) EXPECT_EQ(model[4].value[i], bias[i]);
  EXPECT_NE(model[5].value[0], small_model()[5].value[0]);
}

TEST(Optimizer, the_gradient_norm_is_that_of_all_but_the_router_bias) {
  auto model = small_model();
  fill(model[4].grad, 3, 1e6);
  double sum = 0;
  for (const auto& parameter : model) {
    if (parameter.name.find("bias") != std::string::npos) continue;
    for (const float g : parameter.grad) sum += double(g) * g;
  }
  const Optimizer optimizer({.clip = 0.25}, pointers_to(model));
  EXPECT_NEAR(optimizer.gradient_norm(), std::sqrt(sum), 1e-9 * std::sqrt(sum));
  EXPECT_EQ(optimizer.clip_scale(0.2), 1);
  EXPECT_DOUBLE_EQ(optimizer.clip_scale(0.5), 0.5);
}

TEST(Optimizer, vectors_do_not_decay) {
  auto model = small_model();
  for (auto& parameter : model) parameter.grad.zero();
  const auto before = small_model();
  for (const char* method : {"muon", "adamw"}) {
    model = small_model();
    for (auto& parameter : model) parameter.grad.zero();
    Optimizer({.method = method}, pointers_to(model)).step(0.1, 1);
    EXPECT_EQ(model[2].value[5], before[2].value[5]);
    EXPECT_NEAR(model[1].value[5], before[1].value[5] * 0.99f, 1e-6);
  }
}

TEST(Optimizer, one_thread_and_three_give_the_same_bits) {
  const auto run = [](int threads) {
    set_thread_count(threads);
    auto model = small_model();
    Optimizer optimizer({}, pointers_to(model));
    for (int step = 0; step < 3; ++step)
      optimizer.step(0.01, optimizer.clip_scale(optimizer.gradient_norm()));
    std::string bytes = fmt::format("{:a}", optimizer.gradient_norm());
    for (const auto& parameter : model)
      bytes.append(reinterpret_cast<const char*>(parameter.value.data()), parameter.value.bytes());
    return hash_hex(bytes);
  };
  const std::string one = run(1);
  EXPECT_EQ(run(3), one);
  set_thread_count(2);
  EXPECT_EQ(run(2), one);
}

TEST(Optimizer, restored_state_continues_bit_for_bit) {
  auto straight = small_model(), resumed = small_model();
  Optimizer a({}, pointers_to(straight)), b({}, pointers_to(resumed));
  a.step(0.01, 1);
  std::map<std::string, std::vector<float>> saved;
  a.for_each_state([&](const std::string& name, Moments& v) {
    saved[name].assign(v.floats().begin(), v.floats().end());
  });
  b.for_each_state([&](const std::string& name, Moments& v) {
    std::copy(saved[name].begin(), saved[name].end(), v.floats().begin());
  });
  b.from_json(parse_json(dump_json(a.to_json()), "state.json"));
  for (size_t i = 0; i < straight.size(); ++i) resumed[i].value = straight[i].value;
  a.step(0.01, 1), b.step(0.01, 1);
  for (size_t i = 0; i < straight.size(); ++i)
    for (int64_t j = 0; j < straight[i].size(); ++j)
      ASSERT_EQ(straight[i].value[j], resumed[i].value[j]);
}

// Two copies of a table, one with row-sparse gradients.
std::vector<Parameter<float>> two_tables() {
  std::vector<Parameter<float>> out;
  for (const bool sparse : {false, true}) {
    out.push_back(with_gradient(Parameter<float>::matrix("embed_tokens.weight", 6, 5)));
    out.back().row_sparse = sparse;
    fill(out.back().value, 1);
  }
  return out;
}

TEST(Optimizer, a_row_sparse_table_that_is_all_read_is_a_dense_one) {
  auto tables = two_tables();
  Optimizer optimizer({.weight_decay = 0}, pointers_to(tables));
  const std::vector<int> all = {0, 1, 2, 3, 4, 5};
  for (int step = 0; step < 4; ++step) {
    for (auto& table : tables) fill(table.grad, 20 + uint64_t(step));
    tables[1].touch(all);
    const double both = optimizer.gradient_norm();
    double sum = 0;
    for (const float g : tables[0].grad) sum += 2 * double(g) * double(g);
    EXPECT_NEAR(both, std::sqrt(sum), 1e-6);
    optimizer.step(0.01, 0.5);
    for (int64_t i = 0; i < 30; ++i) EXPECT_EQ(tables[0].value[i], tables[1].value[i]);
  }
}

TEST(Optimizer, a_row_that_nobody_read_stays_and_its_clock_stops) {
  auto tables = two_tables();
  Optimizer optimizer({}, pointers_to(tables));
  const auto state = [&](const char* what) {
    std::vector<float> found;
    optimizer.for_each_state([&](const std::string& name, Moments& values) {
      if (name == std::string("embed_tokens.weight") + what)
        found.assign(values.floats().begin(), values.floats().end());
    });
    return found;
  };
  const auto read = [&](std::vector<int> rows) {
    tables[1].zero_gradient();
    for (const int row : rows)
      for (int i = 0; i < 5; ++i) tables[1].grad[row * 5 + i] = float(1 + i);
    tables[1].touch(rows);
    optimizer.step(0.01, 1);
  };
  const Buffer<float> start = tables[1].value;
  read({4, 2, 2});
  EXPECT_EQ(tables[1].touched, (std::vector<int>{2, 4}));
  const std::vector<float> moments = state(".exp_avg");  // of the table that is last
  const float moved = tables[1].value[10];
  EXPECT_NE(moved, start[10]);
  EXPECT_NEAR(moved, start[10] - 0.01f, 1e-5);  // Adam's first step, without decay
  for (int pause = 0; pause < 3; ++pause) read({4});
  EXPECT_EQ(tables[1].value[10], moved);
  EXPECT_EQ(state(".row_updates"), (std::vector<float>{0, 0, 1, 0, 4, 0}));
  for (int i = 10; i < 15; ++i) EXPECT_EQ(state(".exp_avg")[size_t(i)], moments[size_t(i)]);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(tables[1].value[i], start[i]);
  read({2});  // goes on as if the pause had not been
  EXPECT_NEAR(tables[1].value[10], moved - 0.01f, 1e-5);
}

// The definition in float with the moments cut to bf16 between the steps.
TEST(Optimizer, bf16_moments_are_float_moments_rounded_after_every_step) {
  for (const char* method : {"muon", "adamw"}) {
    auto few = small_model(), wide = small_model();
    for (auto* tables : {&few, &wide}) {
      tables->push_back(std::move(two_tables()[1]));
      fill(tables->back().grad, 3);
      tables->back().touch(std::vector<int>{1, 4});
    }
    Optimizer a({.method = method}, pointers_to(few), /*bf16_moments=*/true);
    Optimizer b({.method = method}, pointers_to(wide));
    int64_t bytes_a = 0, bytes_b = 0;
    for (int step = 0; step < 3; ++step) {
      a.step(0.01, 1), b.step(0.01, 1);
      b.for_each_state([](const std::string&, Moments& m) {
        for (float& v : m.floats()) v = bf16_to_float(float_to_bf16(v));
      });
    }
    a.for_each_state([&](const std::string&, Moments& m) { bytes_a += m.bytes(); });
    b.for_each_state([&](const std::string&, Moments& m) { bytes_b += m.bytes(); });
    const int64_t counts = 6 * sizeof(float);  // of the table's updates, which stay floats
    EXPECT_EQ((bytes_a - counts) * 2, bytes_b - counts);
    for (size_t i = 0; i < few.size(); ++i)
      for (int64_t j = 0; j < few[i].size(); ++j)
        ASSERT_EQ(few[i].value[j], wide[i].value[j]) << method << " " << few[i].name;
  }
}

TEST(Optimizer, impossible_settings_are_refused) {
  const OptimizerConfig bad[] = {
      {.method = "sgd"},         {.beta1 = 1}, {.beta2 = -1},          {.eps = 0},
      {.weight_decay = -1},      {.clip = 0},  {.muon_momentum = 1.5}, {.newton_schulz = "x"},
      {.newton_schulz_steps = 0}};
  for (const auto& config : bad) EXPECT_THROW(config.validate("[optimizer]"), Error);
  EXPECT_NO_THROW(OptimizerConfig{}.validate("[optimizer]"));
  auto model = small_model();
  Optimizer optimizer({}, pointers_to(model));
  for (const char* text :
       {"{}", "[]", R"({"updates":-1})", R"({"updates":"x"})", R"({"updates":1,"more":2})"})
    EXPECT_THROW(optimizer.from_json(parse_json(text, "state.json")), Error) << text;
}

}  // namespace
}  // namespace shenhong
