#include "model/balance_loss.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/random.h"
#include "gradient.h"

namespace shenhong {
namespace {

// Two tokens, three experts, K = 1: the first token prefers expert 0, the second expert 2.
//   f = 3/2 · (1, 0, 1)    P = 1/2 · (0.6 + 0.1, 0.3 + 0.1, 0.1 + 0.8) = (0.35, 0.2, 0.45)
TEST(BalanceLoss, is_its_equation_worked_by_hand) {
  const std::vector<double> scores = {0.6, 0.3, 0.1, 0.05, 0.05, 0.4};
  const double both = 1.5 * (0.35 + 0.45);
  EXPECT_NEAR(balance_loss<double>(scores.data(), 2, 3, 1, {2, 0}, nullptr), 2 * both, 1e-12);
  // Each token a scope of its own: f is 3 for the chosen, P its share.
  const double apart = 3 * 0.6 + 3 * 0.8;
  EXPECT_NEAR(balance_loss<double>(scores.data(), 2, 3, 1, {2, 1}, nullptr), 2 * apart, 1e-12);
  EXPECT_EQ(balance_loss<double>(scores.data(), 2, 3, 1, {0, 1}, nullptr), 0);
}

TEST(BalanceLoss, even_routing_costs_one) {
  std::vector<double> scores;
  for (int t = 0; t < 4; ++t)
    for (int e = 0; e < 4; ++e) scores.push_back(e == t ? 0.9 : 0.2);
  EXPECT_NEAR(balance_loss<double>(scores.data(), 4, 4, 1, {1, 0}, nullptr), 1, 1e-12);
}

TEST(BalanceLoss, its_gradient_agrees_with_central_differences) {
  constexpr int N = 12, E = 5, K = 2;
  Buffer<double> scores(N * E), gradient;
  for (int64_t i = 0; i < scores.size(); ++i) scores[i] = uniform(3, 1, uint64_t(i));
  for (const int scope : {0, 4}) {
    const BalanceLoss loss{.weight = 0.7, .scope = scope};
    gradient.resize_zero(N * E);
    balance_loss(scores.data(), N, E, K, loss, gradient.data());
    expect_gradient(
        "scores", scores, gradient,
        [&] { return balance_loss<double>(scores.data(), N, E, K, loss, nullptr); }, N * E);
  }
}

}  // namespace
}  // namespace shenhong
