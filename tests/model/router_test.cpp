#include "model/router.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "core/random.h"

namespace shenhong {
namespace {

ModelConfig router_config() {
  ModelConfig c;
  c.hidden_size = 16;
  c.n_routed_experts = 12;
  c.num_experts_per_tok = 4;
  c.routed_scaling_factor = 2.5;
  return c;
}

constexpr int kTokens = 50;

// A router with random gate and bias, and what it decides for random tokens.
struct Decisions {
  explicit Decisions(const ModelConfig& config, float shift = 0) : router(config, "gate.") {
    for (int64_t i = 0; i < router.gate.size(); ++i)
      router.gate.value[i] = float(0.5 * normal(1, 1, uint64_t(i)));
    for (int e = 0; e < config.n_routed_experts; ++e)
      router.bias.value[e] = float(0.25 * (e % 5) - 0.5) + shift;
    Buffer<float> x(int64_t(kTokens) * config.hidden_size);
    for (int64_t i = 0; i < x.size(); ++i) x[i] = float(normal(1, 2, uint64_t(i)));
    router.forward(x.data(), kTokens, saved);
  }
  Router<float> router;
  Router<float>::Saved saved;
};

std::vector<int> ids(const Decisions& d) { return {d.saved.chosen.begin(), d.saved.chosen.end()}; }

// A4 of the acceptance table, first half.
TEST(Router, the_chosen_weights_sum_to_the_scaling_factor) {
  for (const char* score : {"sigmoid", "softmax"}) {
    ModelConfig config = router_config();
    config.scoring_func = score;
    const Decisions d(config);
    for (int n = 0; n < kTokens; ++n) {
      double sum = 0;
      for (int k = 0; k < 4; ++k) sum += double(d.saved.weights[n * 4 + k]);
      EXPECT_NEAR(sum, 2.5, 1e-6);
    }
  }
}

// A4, second half. The shift is a power of two, so that adding it rounds nothing away that differs.
TEST(Router, one_constant_on_every_bias_changes_nothing) {
  for (const int groups : {1, 3}) {
    ModelConfig config = router_config();
    config.n_group = groups;
    config.topk_group = groups == 1 ? 1 : 2;
    const Decisions plain(config), shifted(config, 0.5f), lowered(config, -4.0f);
    EXPECT_EQ(ids(plain), ids(shifted));
    EXPECT_EQ(ids(plain), ids(lowered));
    EXPECT_TRUE(std::equal(plain.saved.weights.begin(), plain.saved.weights.end(),
                           shifted.saved.weights.begin()));
    EXPECT_TRUE(std::equal(plain.saved.weights.begin(), plain.saved.weights.end(),
                           lowered.saved.weights.begin()));
  }
}

TEST(Router, the_bias_chooses_and_never_weighs) {
  ModelConfig config = router_config();
  config.norm_topk_prob = false;
  config.routed_scaling_factor = 1;
  const Decisions d(config);
  for (int n = 0; n < kTokens; ++n)
    for (int k = 0; k < 4; ++k)
      EXPECT_EQ(d.saved.weights[n * 4 + k], d.saved.scores[n * 12 + d.saved.chosen[n * 4 + k]]);
}

TEST(Router, chosen_experts_are_distinct_and_the_best_by_score_plus_bias) {
  const Decisions d(router_config());
  for (int n = 0; n < kTokens; ++n) {
    std::vector<int> order(12);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
      const auto value = [&](int e) { return d.saved.scores[n * 12 + e] + d.router.bias.value[e]; };
      return value(a) > value(b);
    });
    order.resize(4);
    EXPECT_EQ(std::vector<int>(d.saved.chosen.begin() + n * 4, d.saved.chosen.begin() + n * 4 + 4),
              order);
  }
}

TEST(Router, a_tie_goes_to_the_lower_expert) {
  const Router<float> router(router_config(), "gate.");
  const std::vector<float> scores(12, 0.5f);
  int chosen[4];
  float weights[4];
  router.choose(scores.data(), chosen, weights);
  for (int k = 0; k < 4; ++k) {
    EXPECT_EQ(chosen[k], k);
    EXPECT_FLOAT_EQ(weights[k], 2.5f / 4);
  }
}

// With every bias below -1 all candidates are negative: a mask of 0 would let losing groups win.
TEST(Router, no_expert_of_a_losing_group_is_chosen_even_under_negative_biases) {
  ModelConfig config = router_config();
  config.n_group = 4;
  config.topk_group = 2;
  const Decisions d(config, -4.0f);
  std::set<std::set<int>> pairs;
  for (int n = 0; n < kTokens; ++n) {
    std::vector<double> worth;
    for (int g = 0; g < 4; ++g) {
      std::vector<double> value;
      for (int e = 3 * g; e < 3 * g + 3; ++e)
        value.push_back(double(d.saved.scores[n * 12 + e]) + double(d.router.bias.value[e]));
      std::sort(value.rbegin(), value.rend());
      worth.push_back(value[0] + value[1]);  // V3: a group's two best
    }
    std::set<int> groups;
    for (int k = 0; k < 4; ++k) groups.insert(d.saved.chosen[n * 4 + k] / 3);
    ASSERT_EQ(groups.size(), 2u);
    for (int g = 0; g < 4; ++g) {
      if (groups.contains(g)) continue;
      for (const int winner : groups) EXPECT_GE(worth[size_t(winner)], worth[size_t(g)] - 1e-6);
    }
    pairs.insert(groups);
  }
  EXPECT_GT(pairs.size(), 1u);
}

TEST(Router, softmax_scores_value_a_group_by_its_best_expert) {
  ModelConfig config = router_config();
  config.scoring_func = "softmax";
  config.n_group = 2;
  config.topk_group = 1;
  config.num_experts_per_tok = 1;
  const Router<float> router(config, "gate.");
  std::vector<float> scores(12, 0.0f);
  scores[2] = 0.4f;              // group 0: one good expert
  scores[7] = scores[8] = 0.3f;  // group 1: two fair ones
  int chosen = -1;
  float weight = 0;
  router.choose(scores.data(), &chosen, &weight);
  EXPECT_EQ(chosen, 2);

  config.scoring_func = "sigmoid";
  Router<float>(config, "gate.").choose(scores.data(), &chosen, &weight);
  EXPECT_EQ(chosen, 7);
}

ModelConfig threshold_config(int min_experts, int max_experts) {
  ModelConfig c = router_config();
  c.routing = {.method = "threshold", .min_experts = min_experts, .max_experts = max_experts};
  return c;
}

// With as few as many experts the thresholds have nothing to say.
TEST(Router, by_threshold_between_equal_caps_is_top_k_bit_for_bit) {
  const Decisions top(router_config()), threshold(threshold_config(4, 4));
  ASSERT_EQ(top.router.width(), threshold.router.width());
  EXPECT_EQ(ids(top), ids(threshold));
  EXPECT_TRUE(std::equal(top.saved.weights.begin(), top.saved.weights.end(),
                         threshold.saved.weights.begin()));
}

TEST(Router, by_threshold_a_token_takes_what_passes_within_the_caps) {
  std::set<int> counts;
  for (const auto& [low, high] : {std::pair(0, 0), {1, 5}, {4, 6}}) {
    const Decisions d(threshold_config(low, high), -0.6f);
    const int M = d.router.width();
    EXPECT_EQ(M, high == 0 ? 12 : high);
    for (int n = 0; n < kTokens; ++n) {
      const float* score = d.saved.scores.data() + n * 12;
      std::vector<int> order(12);
      std::iota(order.begin(), order.end(), 0);
      const auto margin = [&](int e) { return score[e] + d.router.bias.value[e]; };
      std::stable_sort(order.begin(), order.end(),
                       [&](int a, int b) { return margin(a) > margin(b); });
      const int pass =
          int(std::count_if(order.begin(), order.end(), [&](int e) { return margin(e) > 0; }));
      const int wanted = std::clamp(pass, low, M), count = d.saved.count[n];
      ASSERT_EQ(count, wanted);
      counts.insert(count);
      double sum = 0;
      for (int k = 0; k < count; ++k) {
        EXPECT_EQ(d.saved.chosen[n * M + k], order[size_t(k)]);
        sum += double(d.saved.weights[n * M + k]);
      }
      EXPECT_NEAR(sum, count > 0 ? 2.5 : 0, 1e-6);
    }
  }
  EXPECT_GT(counts.size(), 3u);
}

// All choices weigh together what the routed ones of top-K do, or what their scores say.
TEST(Router, identity_experts_are_chosen_and_weigh_like_the_others) {
  ModelConfig config = router_config();
  config.routing = {.method = "identity", .mean_experts = 3, .identity_experts = 5};
  for (const bool normalise : {true, false}) {
    config.norm_topk_prob = normalise;
    const Decisions d(config);
    ASSERT_EQ(d.router.width(), 4);
    ASSERT_EQ(d.router.gate.rows, 17);
    int identity = 0;
    for (int n = 0; n < kTokens; ++n) {
      ASSERT_EQ(d.saved.count[n], 4);
      const float* score = d.saved.scores.data() + n * 17;
      std::vector<int> order(17);
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
        return score[a] + d.router.bias.value[a] > score[b] + d.router.bias.value[b];
      });
      double sum = normalise ? 0 : 1;
      for (int k = 0; normalise && k < 4; ++k) sum += double(score[order[size_t(k)]]);
      for (int k = 0; k < 4; ++k) {
        const int e = d.saved.chosen[n * 4 + k];
        EXPECT_EQ(e, order[size_t(k)]);
        EXPECT_NEAR(d.saved.weights[n * 4 + k], 2.5 * double(score[e]) / sum, 1e-6);
        identity += e >= 12;
      }
    }
    EXPECT_GT(identity, kTokens / 2);
    EXPECT_LT(identity, 4 * kTokens);
  }
}

// A fresh gate on inputs of mean square 1 sends about the wanted share through.
TEST(Router, fresh_thresholds_pass_about_k_experts) {
  for (const char* score : {"sigmoid", "softmax"}) {
    ModelConfig config = threshold_config(0, 0);
    config.hidden_size = 96;
    config.n_routed_experts = 16;
    config.scoring_func = score;
    Router<float> router(config, "gate.");
    for (int64_t i = 0; i < router.gate.size(); ++i)
      router.gate.value[i] = float(config.initializer_range * normal(1, 1, uint64_t(i)));
    std::fill(router.bias.value.begin(), router.bias.value.end(),
              float(Router<float>::initial_bias(config)));
    const int N = 2000;
    Buffer<float> x(int64_t(N) * config.hidden_size);
    for (int64_t i = 0; i < x.size(); ++i) x[i] = float(normal(1, 2, uint64_t(i)));
    Router<float>::Saved saved;
    router.forward(x.data(), N, saved);
    EXPECT_NEAR(std::accumulate(saved.count.begin(), saved.count.end(), 0.0) / N, 4, 0.2) << score;
  }
}

}  // namespace
}  // namespace shenhong
