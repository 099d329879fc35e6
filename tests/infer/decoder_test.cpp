#include "infer/decoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/parallel.h"
#include "infer/tiny_models.h"

namespace shenhong {
namespace {

constexpr int kTokens = 60;
using Logits = Decoder::Logits;

// Reads `tokens` in steps of the given sizes, the last one repeated; logits of every position.
Buffer<float> read_in_steps(Decoder& decoder, KvCache& cache, const std::vector<int>& tokens,
                            const std::vector<int>& sizes) {
  Buffer<float> out;
  std::vector<float> all;
  size_t at = 0, step = 0;
  while (at < tokens.size()) {
    const size_t size =
        std::min(size_t(sizes[std::min(step++, sizes.size() - 1)]), tokens.size() - at);
    const auto logits = decoder.forward(std::span(tokens).subspan(at, size), cache, Logits::kAll);
    all.insert(all.end(), logits.begin(), logits.end());
    at += size;
  }
  out.resize(int64_t(all.size()));
  std::copy(all.begin(), all.end(), out.begin());
  return out;
}

double largest_gap(const Buffer<float>& x, const Buffer<float>& y) {
  EXPECT_EQ(x.size(), y.size());
  double gap = 0;
  for (int64_t i = 0; i < x.size(); ++i)
    gap = std::max(gap, std::isnan(x[i]) ? INFINITY : std::abs(double(x[i]) - double(y[i])));
  return gap;
}

bool same_bits(const Buffer<float>& x, const Buffer<float>& y) {
  return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.bytes()) == 0;
}

std::vector<int> argmax_per_row(const Buffer<float>& logits, int V) {
  std::vector<int> out;
  for (int64_t at = 0; at < logits.size(); at += V)
    out.push_back(
        int(std::max_element(logits.data() + at, logits.data() + at + V) - logits.data() - at));
  return out;
}

class EveryArchitecture : public testing::TestWithParam<NamedConfig> {};

// A2 of the acceptance table: one prompt, token by token, and chunks, against the training forward.
TEST_P(EveryArchitecture, cached_decoding_is_the_full_forward_pass) {
  const auto model = random_model(GetParam().config, 11);
  const int V = model->config().vocab_size;
  const std::vector<int> tokens = random_tokens(kTokens, V, 5);
  const Buffer<float> wanted = full_logits(*model, tokens);
  const Weights weights(*model, NumberFormat::kF32);
  Decoder decoder(weights);
  const auto check = [&](const char* name, const std::vector<int>& sizes) {
    KvCache cache(model->config());
    const Buffer<float> logits = read_in_steps(decoder, cache, tokens, sizes);
    const double gap = largest_gap(logits, wanted);
    RecordProperty(name, std::to_string(gap));
    EXPECT_LE(gap, 1e-4) << name;
    EXPECT_EQ(argmax_per_row(logits, V), argmax_per_row(wanted, V)) << name;
    EXPECT_EQ(cache.size(), kTokens);
  };
  check("one prompt", {kTokens});
  check("token by token", {1});
  check("chunks", {7, 20, 2, 16});
}

TEST_P(EveryArchitecture, after_truncation_the_cache_is_as_if_nothing_had_followed) {
  const auto model = random_model(GetParam().config, 12);
  const std::vector<int> tokens = random_tokens(30, model->config().vocab_size, 6);
  const std::span<const int> all(tokens);
  const Weights weights(*model, NumberFormat::kF32);
  Decoder decoder(weights);
  KvCache straight(model->config()), detour(model->config());
  decoder.forward(all.first(10), straight, Logits::kLast);
  decoder.forward(all.first(10), detour, Logits::kLast);
  decoder.forward(all.subspan(20), detour, Logits::kLast);
  detour.truncate(10);
  const auto wanted = decoder.forward(all.subspan(10, 1), straight, Logits::kLast);
  const std::vector<float> kept(wanted.begin(), wanted.end());
  const auto got = decoder.forward(all.subspan(10, 1), detour, Logits::kLast);
  EXPECT_TRUE(std::equal(kept.begin(), kept.end(), got.begin()));
}

TEST_P(EveryArchitecture, the_last_tokens_logits_are_those_of_all_tokens) {
  const auto model = random_model(GetParam().config, 13);
  const int V = model->config().vocab_size;
  const std::vector<int> tokens = random_tokens(9, V, 7);
  const Weights weights(*model, NumberFormat::kF32);
  Decoder decoder(weights);
  KvCache a(model->config()), b(model->config());
  const auto all = decoder.forward(tokens, a, Logits::kAll);
  const std::vector<float> wanted(all.end() - V, all.end());
  const auto last = decoder.forward(tokens, b, Logits::kLast);
  ASSERT_EQ(last.size(), wanted.size());
  for (size_t v = 0; v < wanted.size(); ++v) EXPECT_NEAR(last[v], wanted[v], 1e-5);
}

// What lets several sequences share a step, and drafts be checked together, without changing them.
TEST_P(EveryArchitecture, a_few_tokens_at_once_and_one_by_one_give_the_same_bits) {
  const auto model = random_model(GetParam().config, 14);
  const std::vector<int> tokens = random_tokens(24, model->config().vocab_size, 8);
  const Weights weights(*model, NumberFormat::kF32);
  Decoder decoder(weights);
  KvCache together(model->config()), apart(model->config());
  EXPECT_TRUE(same_bits(read_in_steps(decoder, together, tokens, {20, 2}),
                        read_in_steps(decoder, apart, tokens, {20, 1})));
}

INSTANTIATE_TEST_SUITE_P(Decoder, EveryArchitecture, testing::ValuesIn(all_configs()),
                         [](const auto& test) { return test.param.name; });

ModelConfig wide_config() {
  ModelConfig c = tiny_config();
  c.vocab_size = 2000;
  c.hidden_size = 256;
  c.moe_intermediate_size = 256;
  c.num_experts_per_tok = 4;
  return c;
}

TEST(Decoder, one_thread_and_three_give_the_same_bits) {
  const auto model = random_model(wide_config(), 3);
  const std::vector<int> tokens = random_tokens(20, model->config().vocab_size, 8);
  const int threads = thread_count();
  const auto run = [&](int n, const std::vector<int>& sizes) {
    set_thread_count(n);
    const Weights weights(*model, NumberFormat::kF32);
    Decoder decoder(weights);
    KvCache cache(model->config());
    return read_in_steps(decoder, cache, tokens, sizes);
  };
  EXPECT_TRUE(same_bits(run(1, {20}), run(3, {20})));
  EXPECT_TRUE(same_bits(run(1, {1}), run(3, {1})));
  set_thread_count(threads);
}

TEST_P(EveryArchitecture, feed_forward_is_the_training_model_s) {
  auto model = random_model(GetParam().config, 4);
  Block<float>& block = model->layers.back();
  const Weights weights(*model, NumberFormat::kF32);
  const int D = model->config().hidden_size, N = 24;
  Buffer<float> x(int64_t(N) * D), wanted, got;
  for (int64_t i = 0; i < x.size(); ++i) x[i] = float(normal(1, 2, uint64_t(i)));
  wanted.resize_zero(x.size());
  got.resize_zero(x.size());
  if (block.moe) {
    Moe<float>::Saved saved;
    block.moe->forward(x.data(), wanted.data(), N, saved);
  } else {
    Mlp<float>::Saved saved;
    block.mlp.forward(x.data(), wanted.data(), N, saved);
  }
  FeedForward(model->config()).forward(weights.layers.back(), x.data(), got.data(), N);
  const float top = *std::max_element(wanted.begin(), wanted.end());
  EXPECT_LE(largest_gap(got, wanted), 1e-5 * top);
}

TEST(FeedForward, a_token_alone_and_grouped_with_others_gives_the_same_bits) {
  ModelConfig config = wide_config();  // in widths that every number format has blocks for
  config.v_head_dim = 32;
  config.intermediate_size = 96;
  const auto model = random_model(config, 4);
  const int D = config.hidden_size, N = 24;
  Buffer<float> x(int64_t(N) * D), grouped, single;
  for (int64_t i = 0; i < x.size(); ++i) x[i] = float(normal(1, 2, uint64_t(i)));
  for (const NumberFormat format : {NumberFormat::kF32, NumberFormat::kInt8}) {
    const Weights weights(*model, format);
    grouped.resize_zero(x.size());
    single.resize_zero(x.size());
    FeedForward feed_forward(config);
    feed_forward.forward(weights.layers[1], x.data(), grouped.data(), N);
    for (int n = 0; n < N; ++n)
      feed_forward.forward(weights.layers[1], x.data() + int64_t(n) * D,
                           single.data() + int64_t(n) * D, 1);
    EXPECT_TRUE(same_bits(grouped, single)) << format_name(format);
  }
}

TEST(FeedForward, experts_that_were_not_chosen_are_never_read) {
  auto model = random_model(tiny_config(), 5);
  Moe<float>& moe = *model->layers[1].moe;
  const int D = model->config().hidden_size;
  Buffer<float> x(D), wanted, got;
  for (int64_t i = 0; i < D; ++i) x[i] = float(normal(1, 3, uint64_t(i)));
  wanted.resize_zero(D);
  got.resize_zero(D);
  FeedForward(model->config())
      .forward(Weights(*model, NumberFormat::kF32).layers[1], x.data(), wanted.data(), 1);
  Moe<float>::Saved saved;
  Buffer<float> ignored(D);
  moe.forward(x.data(), ignored.data(), 1, saved);
  for (size_t e = 0; e < moe.experts.size(); ++e) {
    if (moe.load[e] > 0) continue;
    Mlp<float>::for_each_parameter(moe.experts[e], [](Parameter<float>& p) {
      std::fill(p.value.begin(), p.value.end(), std::numeric_limits<float>::quiet_NaN());
    });
  }
  FeedForward(model->config())
      .forward(Weights(*model, NumberFormat::kF32).layers[1], x.data(), got.data(), 1);
  EXPECT_TRUE(same_bits(wanted, got));
}

TEST(KvCache, counts_what_it_keeps) {
  ModelConfig v3;
  v3.num_hidden_layers = 61;
  v3.num_attention_heads = 128;
  v3.kv_lora_rank = 512;
  v3.qk_rope_head_dim = 64;
  v3.qk_nope_head_dim = v3.v_head_dim = 128;
  EXPECT_EQ(kv_bytes_per_token(v3), 2 * 70'272);  // the published figure is in 16 bits
  EXPECT_EQ(mha_kv_bytes_per_token(v3), int64_t(4) * 61 * 128 * (192 + 128));
}

}  // namespace
}  // namespace shenhong
