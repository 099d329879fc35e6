#include "train/emphasis.h"

#include <gtest/gtest.h>

namespace shenhong {
namespace {

TEST(Emphasis, holds_from_the_first_token_to_the_last_of_each_stretch) {
  Batch batch{1, 9, {}, {5, 20, 6, 7, 21, 8, 20, 21, 9}};
  emphasize({20, 21, 4}, batch);
  EXPECT_EQ(batch.weights, (std::vector<float>{1, 4, 4, 4, 4, 1, 4, 4, 1}));
}

TEST(Emphasis, ends_with_its_sequence) {
  Batch batch{2, 3, {}, {5, 20, 6, 7, 8, 21}};
  emphasize({20, 21, 4}, batch);
  EXPECT_EQ(batch.weights, (std::vector<float>{1, 4, 4, 1, 1, 1}));
}

}  // namespace
}  // namespace shenhong
