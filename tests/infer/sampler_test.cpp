#include "infer/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "core/error.h"
#include "core/random.h"

namespace shenhong {
namespace {

SamplingConfig plain() {
  SamplingConfig c;
  c.temperature = 1;
  c.top_k = 0;
  c.top_p = 1;
  c.min_p = 0;
  return c;
}

std::vector<int> kept_ids(const SamplingConfig& config, const std::vector<float>& logits,
                          const std::vector<int>& context = {}) {
  Sampler sampler(config);
  std::vector<int> ids;
  for (const auto& c : sampler.law(logits, context)) ids.push_back(c.id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::map<int, double> law_of(const SamplingConfig& config, const std::vector<float>& logits,
                             const std::vector<int>& context = {}) {
  Sampler sampler(config);
  std::map<int, double> out;
  for (const auto& c : sampler.law(logits, context)) out[c.id] = c.probability;
  return out;
}

const std::vector<float> kLogits = {0.3f, -1.2f, 2.0f, 0.9f, 0.0f, -0.4f, 1.1f, -3.0f};

TEST(Sampler, without_cuts_at_temperature_1_draws_follow_the_softmax) {
  double sum = 0;
  for (const float z : kLogits) sum += std::exp(double(z));
  Sampler sampler(plain());
  const int draws = 100'000;
  std::vector<int> context(draws), count(kLogits.size());
  for (int i = 0; i < draws; ++i)
    ++count[size_t(sampler.sample(kLogits, std::span(context).first(size_t(i))))];
  double chi2 = 0;
  for (size_t id = 0; id < kLogits.size(); ++id) {
    const double expected = draws * std::exp(double(kLogits[id])) / sum;
    chi2 += std::pow(count[id] - expected, 2) / expected;
  }
  RecordProperty("chi2", std::to_string(chi2));
  EXPECT_LT(chi2, 24.3);  // p > 0.001 at 7 degrees of freedom
}

TEST(Sampler, renaming_the_vocabulary_renames_the_law) {
  const std::vector<size_t> renamed = {5, 2, 7, 0, 1, 6, 3, 4};
  std::vector<float> logits(kLogits.size());
  for (size_t id = 0; id < kLogits.size(); ++id) logits[renamed[id]] = kLogits[id];
  for (const char* order : {"llama", "hf"}) {
    SamplingConfig config;
    config.order = order;
    config.top_k = 5;
    const auto law = law_of(config, kLogits), renamed_law = law_of(config, logits);
    ASSERT_EQ(law.size(), renamed_law.size());
    for (const auto& [id, p] : law) EXPECT_NEAR(renamed_law.at(int(renamed[size_t(id)])), p, 1e-15);
  }
}

TEST(Sampler, at_temperature_0_the_best_token_wins_and_the_lower_id_of_equals) {
  SamplingConfig config;
  config.temperature = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    config.seed = seed;
    EXPECT_EQ(Sampler(config).sample(kLogits, {}), 2);
    EXPECT_EQ(Sampler(config).sample(std::vector<float>{1, 3, 0, 3, 3}, {}), 1);
  }
}

TEST(Sampler, a_draw_depends_on_seed_and_position_alone) {
  SamplingConfig config = plain();
  config.seed = 42;
  const std::vector<int> context(200);
  Sampler straight(config);
  std::vector<int> drawn;
  for (size_t i = 0; i < 200; ++i)
    drawn.push_back(straight.sample(kLogits, std::span(context).first(i)));
  for (size_t i = 0; i < 200; i += 17)
    EXPECT_EQ(Sampler(config).sample(kLogits, std::span(context).first(i)), drawn[i]);
  config.seed = 43;
  Sampler other(config);
  int same = 0;
  for (size_t i = 0; i < 200; ++i)
    same += other.sample(kLogits, std::span(context).first(i)) == drawn[i];
  EXPECT_LT(same, 120);
}

TEST(Sampler, top_k_keeps_the_k_best_and_the_lower_ids_of_equals) {
  SamplingConfig config = plain();
  config.top_k = 3;
  EXPECT_EQ(kept_ids(config, kLogits), (std::vector<int>{2, 3, 6}));
  EXPECT_EQ(kept_ids(config, {1, 1, 1, 1, 1}), (std::vector<int>{0, 1, 2}));
  config.top_k = 100;
  EXPECT_EQ(kept_ids(config, kLogits).size(), kLogits.size());
}

// Of a vocabulary of many blocks, with many equals, the last block not whole.
TEST(Sampler, top_k_of_many_is_what_sorting_all_gives) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<float> logits(5011);
    for (size_t id = 0; id < logits.size(); ++id)
      logits[id] = std::round(float(8 * normal(seed, 1, id))) / 4;
    if (seed % 4 == 0) std::sort(logits.begin(), logits.end());
    std::vector<int> sorted(logits.size());
    for (size_t i = 0; i < sorted.size(); ++i) sorted[i] = int(i);
    std::stable_sort(sorted.begin(), sorted.end(),
                     [&](int a, int b) { return logits[size_t(a)] > logits[size_t(b)]; });
    for (const int k : {1, 2, 40, 78, 79, 80, 500, 5010}) {
      SamplingConfig config = plain();
      config.top_k = k;
      for (const char* order : {"llama", "hf"}) {
        config.order = order;
        Sampler sampler(config);
        const auto law = sampler.law(logits, {});
        ASSERT_EQ(law.size(), size_t(k));
        for (size_t i = 0; i < law.size(); ++i) ASSERT_EQ(law[i].id, sorted[i]) << seed << " " << k;
      }
    }
  }
}

TEST(Sampler, top_p_keeps_the_token_that_crosses_the_line_and_always_one) {
  const std::vector<float> logits = {std::log(0.5f), std::log(0.2f), std::log(0.2f),
                                     std::log(0.1f)};
  SamplingConfig config = plain();
  const auto kept = [&](double p) {
    config.top_p = p;
    return kept_ids(config, logits);
  };
  EXPECT_EQ(kept(0), (std::vector<int>{0}));
  EXPECT_EQ(kept(0.49), (std::vector<int>{0}));
  EXPECT_EQ(kept(0.6), (std::vector<int>{0, 1}));  // of equals the lower id
  EXPECT_EQ(kept(0.75), (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(kept(0.95), (std::vector<int>{0, 1, 2, 3}));
}

TEST(Sampler, min_p_is_a_share_of_the_best_probability) {
  const std::vector<float> logits = {std::log(0.5f), std::log(0.26f), std::log(0.14f),
                                     std::log(0.1f)};
  SamplingConfig config = plain();
  config.min_p = 0.5;
  EXPECT_EQ(kept_ids(config, logits), (std::vector<int>{0, 1}));
  config.min_p = 0.25;
  EXPECT_EQ(kept_ids(config, logits), (std::vector<int>{0, 1, 2}));
  config.min_p = 1;
  EXPECT_EQ(kept_ids(config, logits), (std::vector<int>{0}));
}

// Heat flattens the law: after it a cut by probability keeps more.
TEST(Sampler, the_order_decides_whether_cuts_see_the_temperature) {
  const std::vector<float> logits = {2, 1, 0, -1, -2};
  SamplingConfig config = plain();
  config.temperature = 4;
  config.min_p = 0.3;
  EXPECT_EQ(kept_ids(config, logits), (std::vector<int>{0, 1}));
  config.order = "hf";
  EXPECT_EQ(kept_ids(config, logits), (std::vector<int>{0, 1, 2, 3, 4}));
  const auto law = law_of(config, logits);
  EXPECT_NEAR(law.at(0) / law.at(4), std::exp(1.0), 1e-12);
}

TEST(Sampler, penalties_follow_their_definitions) {
  const std::vector<float> logits = {2, -2, 1, 0.5};
  SamplingConfig config = plain();
  config.repetition_penalty = 2;  // once per distinct token
  auto law = law_of(config, logits, {0, 1, 0});
  EXPECT_NEAR(std::log(law.at(0) / law.at(2)), 1 - 1, 1e-6);
  EXPECT_NEAR(std::log(law.at(1) / law.at(2)), -4 - 1, 1e-6);
  config.repetition_penalty = 1;
  config.frequency_penalty = 0.5;
  config.presence_penalty = 0.25;
  law = law_of(config, logits, {0, 1, 0});
  EXPECT_NEAR(std::log(law.at(0) / law.at(2)), 2 - 2 * 0.5 - 0.25 - 1, 1e-6);
  EXPECT_NEAR(std::log(law.at(1) / law.at(2)), -2 - 0.5 - 0.25 - 1, 1e-6);
}

// 你好 was answered 你喜欢就好: what the user said counted as said.
TEST(Sampler, frequency_and_presence_look_at_the_answer_only) {
  const std::vector<float> logits = {2, -2, 1, 0.5};
  const std::vector<int> context = {0, 0, 1};
  const auto ratio = [&](const SamplingConfig& config, int id) {
    Sampler sampler(config, /*prompt_tokens=*/2);
    std::map<int, double> law;
    for (const auto& c : sampler.law(logits, context)) law[c.id] = c.probability;
    return std::log(law.at(id) / law.at(2));
  };
  SamplingConfig config = plain();
  config.presence_penalty = 1;
  config.frequency_penalty = 0.5;
  EXPECT_NEAR(ratio(config, 0), 2 - 1, 1e-6);
  EXPECT_NEAR(ratio(config, 1), -2 - 1.5 - 1, 1e-6);
  config.repetition_penalty = 2;
  EXPECT_NEAR(ratio(config, 0), 1 - 1, 1e-6) << "repetition looks at both";
}

TEST(Sampler, penalties_look_at_the_window_only) {
  const std::vector<float> logits = {2, -2, 1, 0.5};
  SamplingConfig config = plain();
  config.presence_penalty = 1;
  config.penalty_window = 2;
  const std::vector<int> context = {0, 3, 3};
  EXPECT_NEAR(
      std::log(law_of(config, logits, context).at(0) / law_of(config, logits, context).at(2)), 1,
      1e-6);
  config.penalty_window = 0;
  EXPECT_NEAR(
      std::log(law_of(config, logits, context).at(0) / law_of(config, logits, context).at(2)), 0,
      1e-6);
}

TEST(Sampler, tokens_of_the_context_outside_the_vocabulary_do_no_harm) {
  SamplingConfig config = plain();
  config.presence_penalty = 1;
  EXPECT_EQ(law_of(config, kLogits, {99, -1}), law_of(config, kLogits));
}

TEST(Sampler, a_token_of_probability_0_is_never_drawn) {
  const float never = -std::numeric_limits<float>::infinity();
  Sampler sampler(plain());
  const std::vector<int> context(1000);
  for (size_t i = 0; i < context.size(); ++i)
    EXPECT_EQ(sampler.sample(std::vector<float>{never, 0, never}, std::span(context).first(i)), 1);
}

TEST(Sampler, broken_logits_are_an_error) {
  Sampler sampler(plain());
  EXPECT_THROW(sampler.sample(std::vector<float>{0, std::nanf(""), 1}, {}), Error);
  EXPECT_THROW(sampler.sample(std::vector<float>{0, INFINITY}, {}), Error);
  EXPECT_THROW(sampler.sample(std::vector<float>{-INFINITY, -INFINITY}, {}), Error);
}

TEST(SamplingConfig, bad_values_are_named) {
  const auto message = [](auto&& change) -> std::string {
    SamplingConfig config;
    change(config);
    try {
      config.validate("request");
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Exit::kUsage);
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(message([](SamplingConfig&) {}), "");
  EXPECT_EQ(message([](SamplingConfig& c) { c.top_p = 1.5; }), "request: top_p = 1.5: want 0 to 1");
  EXPECT_NE(message([](SamplingConfig& c) { c.temperature = std::nan(""); }), "");
  EXPECT_NE(message([](SamplingConfig& c) { c.top_k = -1; }), "");
  EXPECT_NE(message([](SamplingConfig& c) { c.repetition_penalty = 0; }), "");
  EXPECT_EQ(message([](SamplingConfig& c) { c.order = "x"; }),
            "request: order = 'x': known are llama and hf");
}

}  // namespace
}  // namespace shenhong
