#include "infer/expert_skipping.h"

#include <gtest/gtest.h>

#include <limits>

#include "core/error.h"
#include "infer/feed_forward.h"
#include "infer/skip_calibration.h"
#include "infer/tiny_models.h"

namespace shenhong {
namespace {

struct Kept {
  std::vector<int> chosen;
  std::vector<float> weights;
};

// Experts 10, 11 and so on, of which those from `routed` on are identity ones.
Kept drop(const std::vector<float>& below, std::vector<float> weights, int routed = 1000) {
  std::vector<int> chosen(weights.size());
  for (size_t i = 0; i < chosen.size(); ++i) chosen[i] = int(10 + i);
  const int left =
      drop_light_experts(below, routed, int(weights.size()), chosen.data(), weights.data());
  chosen.resize(size_t(left));
  weights.resize(size_t(left));
  return {chosen, weights};
}

// Thresholds may give a token any number of experts.
TEST(ExpertSkipping, drops_among_a_hundred_choices_as_among_three) {
  std::vector<float> weights(100, 0.25f);
  weights[70] = 1;
  const Kept kept = drop(std::vector<float>(99, 0.5f), weights);
  EXPECT_EQ(kept.chosen, std::vector<int>{80});
  EXPECT_FLOAT_EQ(kept.weights[0], 1 + 99 * 0.25f);
}

TEST(ExpertSkipping, drops_by_rank_of_weight_not_by_place) {
  const Kept kept = drop({0.5f, 0.5f}, {0.25f, 1.0f, 0.75f});
  EXPECT_EQ(kept.chosen, (std::vector<int>{11, 12}));
  // What is left weighs together what all did.
  EXPECT_FLOAT_EQ(kept.weights[0] + kept.weights[1], 2.0f);
  EXPECT_FLOAT_EQ(kept.weights[0] / kept.weights[1], 1 / 0.75f);
}

TEST(ExpertSkipping, identity_experts_have_no_rank_and_stay) {
  const Kept kept = drop({0.5f}, {0.2f, 1.0f, 2.0f, 0.1f}, 12);
  EXPECT_EQ(kept.chosen, (std::vector<int>{11, 12, 13}));
  EXPECT_EQ(kept.weights, (std::vector<float>{1.2f, 2.0f, 0.1f}));
  EXPECT_EQ(drop({1e9f}, {0.2f, 1.0f}, 11).weights, (std::vector<float>{0.2f, 1.0f}));
}

TEST(ExpertSkipping, a_rank_has_its_own_threshold) {
  EXPECT_EQ(drop({0.9f, 0.0f}, {1.0f, 0.8f, 0.1f}).chosen, (std::vector<int>{10, 12}));
}

TEST(ExpertSkipping, thresholds_of_zero_leave_the_weights_to_the_bit) {
  const std::vector<float> weights = {0.3f, 0.7f, 0.1f};
  EXPECT_EQ(drop({0, 0}, weights).weights, weights);
}

TEST(ExpertSkipping, the_heaviest_always_stays) {
  EXPECT_EQ(drop({1e9f, 1e9f}, {0.2f, 0.3f, 0.1f}).chosen, (std::vector<int>{11}));
  EXPECT_EQ(drop({}, {0.2f}).chosen, (std::vector<int>{10}));
}

// One token through the layer with experts of a model whose other experts are as `damage` leaves
// them.
class SkippingLayer : public ::testing::Test {
 protected:
  SkippingLayer() : model(random_model(tiny_config(), 5)), x(model->config().hidden_size) {
    for (int64_t i = 0; i < x.size(); ++i) x[i] = float(normal(1, 3, uint64_t(i)));
  }

  Buffer<float> forward(const ExpertSkipping* table, FeedForward::Choices* choices = nullptr) {
    Weights weights(*model, NumberFormat::kF32);
    if (table) weights.skip_experts(*table);
    Buffer<float> y;
    y.resize_zero(x.size());
    FeedForward feed_forward(model->config());
    feed_forward.forward(weights.layers[1], x.data(), y.data(), 1);
    if (choices) *choices = feed_forward.choices();
    return y;
  }

  ExpertSkipping all_but_the_heaviest() const {
    ExpertSkipping table = ExpertSkipping::none(model->config());
    for (auto& layer : table.below) std::fill(layer.begin(), layer.end(), 1e9f);
    return table;
  }

  std::unique_ptr<Model<float>> model;
  Buffer<float> x;
};

TEST_F(SkippingLayer, a_table_of_zeros_is_the_plain_model_to_the_bit) {
  const ExpertSkipping none = ExpertSkipping::none(model->config());
  const Buffer<float> plain = forward(nullptr), with = forward(&none);
  EXPECT_TRUE(std::equal(plain.begin(), plain.end(), with.begin()));
}

TEST_F(SkippingLayer, a_skipped_expert_is_never_read) {
  const ExpertSkipping table = all_but_the_heaviest();
  FeedForward::Choices choices;
  const Buffer<float> wanted = forward(&table, &choices);
  EXPECT_EQ(choices.all, 2);
  EXPECT_EQ(choices.skipped, 1);
  // Every expert but the heaviest holds what would poison the sum.
  Moe<float>& moe = *model->layers[1].moe;
  Moe<float>::Saved saved;
  Buffer<float> ignored(x.size());
  moe.forward(x.data(), ignored.data(), 1, saved);
  const int heaviest =
      saved.router.chosen[saved.router.weights[0] >= saved.router.weights[1] ? 0 : 1];
  for (size_t e = 0; e < moe.experts.size(); ++e) {
    if (int(e) == heaviest) continue;
    Mlp<float>::for_each_parameter(moe.experts[e], [](Parameter<float>& p) {
      std::fill(p.value.begin(), p.value.end(), std::numeric_limits<float>::quiet_NaN());
    });
  }
  const Buffer<float> got = forward(&table);
  EXPECT_TRUE(std::equal(wanted.begin(), wanted.end(), got.begin()));
}

TEST_F(SkippingLayer, fewer_bytes_are_counted_per_token) {
  Weights weights(*model, NumberFormat::kF32);
  const int64_t plain = weights.bytes_per_token();
  ExpertSkipping table = all_but_the_heaviest();
  table.skipped = 0.5;
  weights.skip_experts(table);
  const MlpWeights& mlp = weights.layers[1].moe->experts[0];
  const int64_t expert = mlp.gate_proj.bytes() + mlp.up_proj.bytes() + mlp.down_proj.bytes();
  EXPECT_EQ(plain - weights.bytes_per_token(), 2 * expert);  // one of two, in each of two layers
}

// Dropping rank 2 of layer 1 costs ten times what it does in layer 2.
TEST(SkipCalibration, takes_the_cheap_layer_first) {
  const ModelConfig config = tiny_config();
  const auto trial = [](const ExpertSkipping& table) {
    SkippingTrial out{5, 1000, 0};
    const auto share = [&](size_t layer) { return std::min(1.0f, table.below[layer][0]); };
    out.skipped = int64_t(500 * share(1)) + int64_t(500 * share(2));
    out.nats_per_token += 1.0 * share(1) + 0.1 * share(2);
    return out;
  };
  const auto tables = calibrate_skipping(config, {0.1, 0.5, 0.8}, trial);
  ASSERT_EQ(tables.size(), 3u);
  EXPECT_GE(tables[0].skipped, 0.1);
  EXPECT_EQ(tables[0].below[1][0], 0);
  EXPECT_EQ(tables[1].below[1][0], 0);
  EXPECT_GE(tables[1].below[2][0], 1);
  EXPECT_GT(tables[2].below[1][0], 0);
}

TEST(SkipCalibration, stops_where_nothing_more_can_be_dropped) {
  const auto tables = calibrate_skipping(tiny_config(), {0.9}, [](const ExpertSkipping& table) {
    return SkippingTrial{4, 100, table.below[1][0] > 0 ? 30 : 0};
  });
  EXPECT_DOUBLE_EQ(tables[0].skipped, 0.3);
}

TEST(ExpertSkipping, survives_its_file) {
  ExpertSkipping table = ExpertSkipping::none(tiny_config());
  table.skipped = 0.25;
  table.below[2][0] = 0.65f;
  const ExpertSkipping read = expert_skipping_from_json(to_json(table), tiny_config(), "t");
  EXPECT_EQ(read.below, table.below);
  EXPECT_EQ(read.skipped, table.skipped);
}

TEST(ExpertSkipping, a_file_that_does_not_fit_the_model_is_refused) {
  const auto why_not = [](const char* text) -> std::string {
    try {
      expert_skipping_from_json(parse_json(text, "t"), tiny_config(), "t");
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_NE(why_not("[]").find("below"), std::string::npos);
  EXPECT_NE(why_not(R"({"skipped":0,"below":[[]]})").find("3"), std::string::npos);
  EXPECT_NE(why_not(R"({"skipped":0,"below":[[],[0,0],[0]]})").find("layer 1"), std::string::npos);
  EXPECT_NE(why_not(R"({"skipped":0,"below":[[],[-1],[0]]})").find("-1"), std::string::npos);
  EXPECT_NE(why_not(R"({"skipped":2,"below":[[],[0],[0]]})").find("skipped"), std::string::npos);
  EXPECT_EQ(why_not(R"({"skipped":0,"below":[[],[0],[0.5]]})"), "");
}

}  // namespace
}  // namespace shenhong
