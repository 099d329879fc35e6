#include "model/ngram_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "toy.h"

namespace shenhong {
namespace {

ModelConfig memory_config() {
  ModelConfig c = toy_config();
  c.ngram_memory = {.layers = {1}, .max_order = 3, .heads = 2, .rows = 100, .head_dim = 3};
  return c;
}

std::vector<int> rows_of(const NgramHash& hash, const std::vector<int>& tokens, int position) {
  std::vector<int> rows(size_t(hash.tables()));
  hash.rows(tokens.data(), position, rows.data());
  return rows;
}

// A checkpoint's rows mean something only while the hash stays what it was.
TEST(NgramHash, gives_the_rows_that_it_always_gave) {
  const NgramHash hash(memory_config(), 1);
  EXPECT_EQ(hash.total_rows(), 101 + 103 + 107 + 109);
  const std::vector<int> tokens = {5, 17, 3, 28};
  EXPECT_EQ(rows_of(hash, tokens, 0), (std::vector<int>{39, 135, 265, 342}));
  EXPECT_EQ(rows_of(hash, tokens, 3), (std::vector<int>{27, 123, 243, 349}));
}

TEST(NgramHash, sees_the_last_tokens_of_its_order_and_no_others) {
  const NgramHash hash(memory_config(), 1);
  const std::vector<int> a = {5, 17, 3, 28, 9}, other_third = {5, 4, 3, 28, 9},
                         next = {5, 17, 3, 28, 1}, other_fourth = {8, 2, 3, 28, 9};
  const auto rows = rows_of(hash, a, 3);
  EXPECT_EQ(rows, rows_of(hash, next, 3));  // nothing after it
  const auto third = rows_of(hash, other_third, 3);
  EXPECT_TRUE(std::equal(rows.begin(), rows.begin() + 2, third.begin()));  // pairs: the same
  EXPECT_FALSE(std::equal(rows.begin() + 2, rows.end(), third.begin() + 2));
  EXPECT_EQ(rows_of(hash, a, 4), rows_of(hash, other_fourth, 4));
  EXPECT_NE(rows, rows_of(NgramHash(memory_config(), 0), a, 3));  // layers hash differently
}

TEST(NgramHash, spreads_over_each_table) {
  const NgramHash hash(memory_config(), 1);
  std::vector<std::set<int>> seen(4);
  for (int a = 0; a < 29; ++a)
    for (int b = 0; b < 29; ++b) {
      const auto rows = rows_of(hash, {a, b, 7}, 2);
      for (size_t i = 0; i < 4; ++i) seen[i].insert(rows[i]);
    }
  const int first[] = {0, 101, 204, 311, 420};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_GE(*seen[i].begin(), first[i]);
    EXPECT_LT(*seen[i].rbegin(), first[i + 1]);
  }
  EXPECT_GT(seen[2].size(), 90u);  // 841 trigrams into 107 rows
}

TEST(NgramMemory, touches_only_the_rows_that_were_read_and_forgets_them) {
  const ModelConfig config = memory_config();
  Model<float> model(config);
  model.initialize(1);
  model.allocate_gradients();
  const Batch batch = toy_batch(config, 2, 6);
  model.forward_backward(batch, 1, 1);
  Parameter<float>& table = model.memories[1]->embed;
  EXPECT_TRUE(std::ranges::is_sorted(table.touched));
  EXPECT_LE(table.touched.size(), 2u * 6 * 4);
  int with_gradient = 0;
  for (int row = 0; row < table.rows; ++row) {
    const float* g = table.grad.data() + int64_t(row) * table.cols;
    const bool any = std::any_of(g, g + table.cols, [](float v) { return v != 0; });
    with_gradient += any;
    EXPECT_TRUE(!any || std::ranges::binary_search(table.touched, row));
  }
  EXPECT_GT(with_gradient, 20);
  model.zero_gradients();
  EXPECT_TRUE(table.touched.empty());
  for (const float g : table.grad) EXPECT_EQ(g, 0);
}

}  // namespace
}  // namespace shenhong
