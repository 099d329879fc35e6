#include "model/moe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/random.h"

namespace shenhong {
namespace {

constexpr int kExperts = 6, kHidden = 20;

ModelConfig moe_config(int K) {
  ModelConfig c;
  c.hidden_size = kHidden;
  c.n_routed_experts = kExperts;
  c.num_experts_per_tok = K;
  c.moe_intermediate_size = 14;
  c.routed_scaling_factor = 1.5;
  return c;
}

Moe<float> random_moe(const ModelConfig& config) {
  Moe<float> moe(config, "mlp.");
  Moe<float>::for_each_parameter(moe, [](Parameter<float>& p) {
    if (p.is_vector) return;
    for (int64_t i = 0; i < p.size(); ++i)
      p.value[i] = float(0.3 * normal(4, fnv1a(p.name), uint64_t(i)));
  });
  return moe;
}

Buffer<float> random_rows(int N) {
  Buffer<float> x(int64_t(N) * kHidden);
  for (int64_t i = 0; i < x.size(); ++i) x[i] = float(normal(4, 9, uint64_t(i)));
  return x;
}

// y += weight · FFN(x) of one token, in double.
void add_ffn(const Mlp<float>& mlp, const float* x, double weight, double* y) {
  const int D = mlp.gate_proj.cols, F = mlp.gate_proj.rows;
  for (int f = 0; f < F; ++f) {
    double a = 0, b = 0;
    for (int d = 0; d < D; ++d) {
      a += double(mlp.gate_proj.value[int64_t(f) * D + d]) * double(x[d]);
      b += double(mlp.up_proj.value[int64_t(f) * D + d]) * double(x[d]);
    }
    const double h = a / (1 + std::exp(-a)) * b;
    for (int d = 0; d < D; ++d)
      y[d] += weight * h * double(mlp.down_proj.value[int64_t(d) * F + f]);
  }
}

// Techniques 1.1, one token after the other.
Buffer<double> per_token_loop(const Moe<float>& moe, const Router<float>::Saved& routed,
                              const Buffer<float>& x, int N) {
  const int M = moe.router.width();
  Buffer<double> y(x.size());
  y.zero();
  for (int n = 0; n < N; ++n) {
    const float* row = x.data() + int64_t(n) * kHidden;
    for (int k = 0; k < routed.count[n]; ++k) {
      const int e = routed.chosen[n * M + k];
      const double w = double(routed.weights[n * M + k]);
      double* to = y.data() + int64_t(n) * kHidden;
      if (e < kExperts) {
        add_ffn(moe.experts[size_t(e)], row, w, to);
      } else {
        for (int d = 0; d < kHidden; ++d) to[d] += w * double(row[d]);
      }
    }
    add_ffn(moe.shared_experts, row, 1, y.data() + int64_t(n) * kHidden);
  }
  return y;
}

// Runs N tokens and compares with the loop; returns the tokens of each expert.
std::vector<int64_t> check_against_loop(Moe<float>& moe, int N) {
  const Buffer<float> x = random_rows(N);
  Buffer<float> y;
  y.resize_zero(x.size());
  Moe<float>::Saved saved;
  std::fill(moe.load.begin(), moe.load.end(), 0);
  moe.tokens = 0;
  moe.forward(x.data(), y.data(), N, saved);
  const Buffer<double> wanted = per_token_loop(moe, saved.router, x, N);
  double gap = 0, top = 0;
  for (int64_t i = 0; i < y.size(); ++i) {
    gap = std::max(gap, std::abs(double(y[i]) - wanted[i]));
    top = std::max(top, std::abs(wanted[i]));
  }
  EXPECT_LE(gap, 1e-5 * top);
  return moe.load;
}

// A3 of the acceptance table.
TEST(Moe, grouped_experts_equal_a_loop_over_tokens) {
  Moe<float> moe = random_moe(moe_config(2));
  const std::vector<int64_t> load = check_against_loop(moe, 40);
  int64_t sum = 0;
  for (const int64_t count : load) sum += count;
  EXPECT_EQ(sum, 80);
}

TEST(Moe, an_expert_may_get_no_token_one_token_or_all) {
  Moe<float> moe = random_moe(moe_config(1));
  for (int e = 0; e < kExperts; ++e) moe.router.bias.value[e] = e == 4 ? 2.0f : 0.0f;
  EXPECT_EQ(check_against_loop(moe, 17), (std::vector<int64_t>{0, 0, 0, 0, 17, 0}));

  EXPECT_EQ(check_against_loop(moe, 1), (std::vector<int64_t>{0, 0, 0, 0, 1, 0}));

  Moe<float> pair = random_moe(moe_config(2));
  pair.router.bias.value[0] = 4;  // everybody's first choice
  const std::vector<int64_t> load = check_against_loop(pair, 3);
  EXPECT_EQ(load[0], 3);
  EXPECT_GE(std::count(load.begin(), load.end(), 0), 1);
}

TEST(Moe, all_experts_for_every_token_works_too) {
  Moe<float> moe = random_moe(moe_config(kExperts));
  EXPECT_EQ(check_against_loop(moe, 5), std::vector<int64_t>(kExperts, 5));
}

TEST(Moe, by_threshold_tokens_take_no_few_or_all_experts) {
  ModelConfig config = moe_config(2);
  config.routing = {.method = "threshold", .min_experts = 0, .max_experts = 0};
  Moe<float> moe = random_moe(config);
  for (int e = 0; e < kExperts; ++e) moe.router.bias.value[e] = -0.7f;
  std::vector<int64_t> load = check_against_loop(moe, 60);
  const int64_t sum = std::accumulate(load.begin(), load.end(), int64_t(0));
  EXPECT_GT(sum, 30);
  EXPECT_LT(sum, 60 * kExperts);
  EXPECT_EQ(moe.tokens, 60);

  for (int e = 0; e < kExperts; ++e) moe.router.bias.value[e] = -1;  // no score passes
  EXPECT_EQ(check_against_loop(moe, 7), std::vector<int64_t>(kExperts, 0));
  for (int e = 0; e < kExperts; ++e) moe.router.bias.value[e] = 1;  // all do
  EXPECT_EQ(check_against_loop(moe, 7), std::vector<int64_t>(kExperts, 7));
}

TEST(Moe, an_identity_expert_gives_back_its_input) {
  ModelConfig config = moe_config(3);
  config.routing = {.method = "identity", .mean_experts = 1.5, .identity_experts = 3};
  Moe<float> moe = random_moe(config);
  std::vector<int64_t> load = check_against_loop(moe, 60);
  ASSERT_EQ(load.size(), size_t(kExperts));
  const int64_t sum = std::accumulate(load.begin(), load.end(), int64_t(0));
  EXPECT_GT(sum, 60);
  EXPECT_LT(sum, 60 * 3);
  EXPECT_EQ(moe.tokens, 60);

  for (int e = 0; e < kExperts; ++e) moe.router.bias.value[e] = -2;  // identity experts alone
  EXPECT_EQ(check_against_loop(moe, 7), std::vector<int64_t>(kExperts, 0));
}

// Experts that nobody chooses might as well not be there.
TEST(Moe, identity_experts_that_nobody_chooses_change_no_bit) {
  ModelConfig config = moe_config(2);
  Moe<float> plain = random_moe(config);
  config.routing = {.method = "identity", .mean_experts = 1.5, .identity_experts = 2};
  Moe<float> moe = random_moe(config);
  for (int r = kExperts; r < kExperts + 2; ++r) moe.router.bias.value[r] = -4;
  const int N = 40;
  const Buffer<float> rows = random_rows(2 * N);
  const float *x = rows.data(), *dy = x + N * kHidden;
  std::vector<Buffer<float>> results;
  for (Moe<float>* each : {&plain, &moe}) {
    Moe<float>::for_each_parameter(*each,
                                   [](Parameter<float>& p) { p.grad.resize_zero(p.size()); });
    Buffer<float> y, dx;
    y.resize_zero(int64_t(N) * kHidden);
    dx.resize_zero(y.size());
    Moe<float>::Saved saved;
    each->forward(x, y.data(), N, saved);
    each->backward(dy, x, dx.data(), N, saved);
    results.push_back(std::move(y));
    results.push_back(std::move(dx));
  }
  for (const size_t i : {0, 1})
    EXPECT_TRUE(std::equal(results[i].begin(), results[i].end(), results[i + 2].begin())) << i;
  EXPECT_EQ(plain.load, moe.load);
}

// What one token gets does not depend on the company it is in.
class Company : public testing::TestWithParam<const char*> {};

TEST_P(Company, of_other_tokens_does_not_change_a_tokens_output) {
  ModelConfig config = moe_config(2);
  config.routing.method = GetParam();
  if (config.routing.method == "identity") config.routing.identity_experts = 2;
  Moe<float> moe = random_moe(config);
  if (config.by_threshold())
    for (int e = 0; e < kExperts; ++e) moe.router.bias.value[e] = -0.7f;
  const int N = 64;
  const Buffer<float> x = random_rows(N);
  Buffer<float> all, half;
  all.resize_zero(x.size());
  half.resize_zero(x.size());
  Moe<float>::Saved saved;
  moe.forward(x.data(), all.data(), N, saved);
  const int64_t middle = int64_t(N / 2) * kHidden;
  moe.forward(x.data(), half.data(), N / 2, saved);
  moe.forward(x.data() + middle, half.data() + middle, N / 2, saved);
  for (int64_t i = 0; i < all.size(); ++i) EXPECT_NEAR(all[i], half[i], 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Moe, Company, testing::Values("topk", "threshold", "identity"));

}  // namespace
}  // namespace shenhong
