#include "core/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace shenhong {

// The first block of zeros and of all ones, from the known-answer file of the Random123
// distribution.
TEST(Random, philox_gives_the_published_numbers) {
  EXPECT_EQ(philox(0, 0, 0), (Philox{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox(~0ull, ~0ull, ~0ull), (Philox{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(Random, moments_of_uniform_and_normal_are_right) {
  const int n = 200'000;
  double mean_u = 0, mean_n = 0, square_n = 0;
  for (int i = 0; i < n; ++i) {
    mean_u += uniform(7, 1, i) / n;
    const double z = normal(7, 2, i);
    mean_n += z / n;
    square_n += z * z / n;
  }
  EXPECT_NEAR(mean_u, 0.5, 0.003);
  EXPECT_NEAR(mean_n, 0, 0.01);
  EXPECT_NEAR(square_n, 1, 0.015);
}

TEST(Random, uniform_below_stays_below_and_reaches_every_value) {
  std::vector<int> seen(7);
  for (int i = 0; i < 1000; ++i) ++seen.at(uniform_below(7, 3, 4, i));
  EXPECT_GT(*std::min_element(seen.begin(), seen.end()), 90);
}

}  // namespace shenhong
