#include "infer/decoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>

#include "core/parallel.h"
#include "infer/tiny_models.h"

namespace shenhong {
namespace {

constexpr int kTokens = 60;
constexpr double kF16Tolerance = 1e-3, kInt8Tolerance = 2e-2, kInt8RoutedTolerance = 1e-1;

PagePool pool_of(const ModelConfig& config, CacheFormat format = CacheFormat::kF32) {
  return PagePool(config, cache_bytes(config, config.max_position_embeddings, false, format), false,
                  format);
}

// Those that a model's rows can be kept in.
std::vector<CacheFormat> formats_of(const ModelConfig& config) {
  std::vector<CacheFormat> out{CacheFormat::kF32, CacheFormat::kF16};
  if (can_keep(config, CacheFormat::kInt8)) out.push_back(CacheFormat::kInt8);
  return out;
}

// Reads `tokens`, the first `prompt` of them as a prompt, in steps of the given sizes, the last one
// repeated; logits of every position.
Buffer<float> read_in_steps(Decoder& decoder, const std::vector<int>& tokens, int prompt,
                            const std::vector<int>& sizes, CacheFormat format = CacheFormat::kF32) {
  PagePool pool = pool_of(decoder.config(), format);
  Sequence sequence(pool, {tokens.begin(), tokens.begin() + prompt});
  sequence.append(std::span(tokens).subspan(size_t(prompt)));
  std::vector<float> all;
  for (size_t step = 0; sequence.pending() > 0; ++step) {
    const int size = std::min(sizes[std::min(step, sizes.size() - 1)], sequence.pending());
    const auto logits = decoder.forward(sequence, size, size);
    all.insert(all.end(), logits.begin(), logits.end());
  }
  Buffer<float> out(int64_t(all.size()));
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
  const auto check = [&](const char* name, int prompt, const std::vector<int>& sizes) {
    const Buffer<float> logits = read_in_steps(decoder, tokens, prompt, sizes);
    const double gap = largest_gap(logits, wanted);
    RecordProperty(name, std::to_string(gap));
    EXPECT_LE(gap, 1e-4) << name;
    EXPECT_EQ(argmax_per_row(logits, V), argmax_per_row(wanted, V)) << name;
  };
  check("one prompt", kTokens, {kTokens});
  check("token by token", 1, {1});
  check("chunks", 29, {7, 20, 2, 16});
}

// The weights of a random model in float, and of one that is only decoded.
std::unique_ptr<Weights> random_weights(const ModelConfig& config, uint64_t seed) {
  if (!config.grouped_query.on())
    return std::make_unique<Weights>(*random_model(config, seed), NumberFormat::kF32);
  const auto source = [&](const std::string& name, int rows, int cols) {
    const bool gain = name.find("norm") != name.npos;
    Buffer<float> w(int64_t(rows) * cols);
    for (int64_t i = 0; i < w.size(); ++i)
      w[i] = float((gain ? 1 : 0) + (gain ? 0.2 : config.initializer_range) *
                                        normal(seed, fnv1a(name), uint64_t(i)));
    return quantize(NumberFormat::kF32, rows, cols, w.data());
  };
  return std::make_unique<Weights>(config, source);
}

// Those that are only decoded, too.
class EveryForm : public EveryArchitecture {};

// What lets sequences share steps, prompts be read in chunks and drafts be checked together,
// without changing anything: how a sequence is cut into steps does not show.
TEST_P(EveryForm, however_it_is_cut_a_sequence_gives_the_same_bits) {
  const auto weights = random_weights(GetParam().config, 14);
  const std::vector<int> tokens = random_tokens(kTokens, weights->config().vocab_size, 8);
  Decoder decoder(*weights);
  for (const CacheFormat format : formats_of(weights->config()))
    for (const int prompt : {1, 20, 32, 41, kTokens}) {
      const Buffer<float> wanted = read_in_steps(decoder, tokens, prompt, {kTokens}, format);
      for (const std::vector<int>& sizes : std::vector<std::vector<int>>{
               {1}, {20, 1}, {20, 2}, {3}, {7, 20, 2, 16}, {9}, {31, 2, 31}, {32}, {33, 8}})
        EXPECT_TRUE(same_bits(read_in_steps(decoder, tokens, prompt, sizes, format), wanted))
            << cache_format_name(format) << " " << prompt;
    }
}

// Of all logits together: a token for which two experts are nearly equal may go to the other one.
double relative_error(const Buffer<float>& got, const Buffer<float>& wanted) {
  EXPECT_EQ(got.size(), wanted.size());
  double error = 0, norm = 0;
  for (int64_t i = 0; i < got.size(); ++i) {
    error += std::pow(double(got[i]) - double(wanted[i]), 2);
    norm += std::pow(double(wanted[i]), 2);
  }
  return std::sqrt(error / norm);
}

// In both forms of attention.
TEST_P(EveryForm, a_cache_in_fewer_bits_says_nearly_what_one_in_floats_says) {
  const auto weights = random_weights(GetParam().config, 14);
  const std::vector<int> tokens = random_tokens(kTokens, weights->config().vocab_size, 8);
  Decoder decoder(*weights);
  const bool routed = weights->config().first_k_dense_replace < weights->config().num_hidden_layers;
  for (const int prompt : {1, 32, kTokens}) {
    const Buffer<float> wanted = read_in_steps(decoder, tokens, prompt, {kTokens});
    for (const CacheFormat format : formats_of(weights->config())) {
      const double error =
          relative_error(read_in_steps(decoder, tokens, prompt, {kTokens}, format), wanted);
      RecordProperty(fmt::format("{}_{}", cache_format_name(format), prompt),
                     std::to_string(error));
      if (format == CacheFormat::kF32) {
        EXPECT_EQ(error, 0);
      } else {
        EXPECT_GT(error, 0) << "the format is used";
        EXPECT_LE(error, format == CacheFormat::kF16 ? kF16Tolerance
                         : routed                    ? kInt8RoutedTolerance
                                                     : kInt8Tolerance)
            << cache_format_name(format);
      }
    }
  }
}

// A10 of the acceptance table, for one step: whoever else is in it.
TEST_P(EveryForm, whoever_shares_its_steps_a_sequence_gives_the_same_bits) {
  const auto weights = random_weights(GetParam().config, 15);
  const int V = weights->config().vocab_size;
  Decoder decoder(*weights);
  PagePool pool(weights->config(), cache_bytes(weights->config(), 40 * kPageTokens));
  struct One {
    std::vector<int> tokens;
    std::unique_ptr<Sequence> sequence;
    Buffer<float> alone;
  };
  std::vector<One> all(17);
  for (size_t i = 0; i < all.size(); ++i) {
    One& one = all[i];
    one.tokens = random_tokens(3 + int(i * 13 % 50), V, 20 + i);
    const int prompt = 1 + int(i * 7) % int(one.tokens.size());
    one.sequence = std::make_unique<Sequence>(
        pool, std::vector<int>(one.tokens.begin(), one.tokens.begin() + prompt));
    one.sequence->append(std::span(one.tokens).subspan(size_t(prompt)));
    one.alone = read_in_steps(decoder, one.tokens, prompt, {1});
  }
  for (uint64_t step = 0;; ++step) {
    std::vector<Segment> segments;
    std::vector<const float*> wanted;
    for (size_t i = 0; i < all.size(); ++i) {
      Sequence& s = *all[i].sequence;
      if (s.pending() == 0 || (i + step) % 3 == 0) continue;
      const int count = 1 + int(uniform_below(uint64_t(s.pending()), 5, i, step));
      const int logits = int(uniform_below(uint64_t(count) + 1, 6, i, step));
      ASSERT_TRUE(s.reserve(count));
      segments.push_back({&s, count, logits});
      for (int at = s.read() + count - logits; at < s.read() + count; ++at)
        wanted.push_back(all[i].alone.data() + int64_t(at) * V);
    }
    if (segments.empty() && step > 2) break;
    if (segments.empty()) continue;
    const auto logits = decoder.forward(segments);
    ASSERT_EQ(logits.size(), wanted.size() * size_t(V));
    for (size_t r = 0; r < wanted.size(); ++r)
      EXPECT_EQ(std::memcmp(logits.data() + r * size_t(V), wanted[r], size_t(V) * sizeof(float)), 0)
          << "step " << step << ", row " << r;
  }
}

TEST_P(EveryForm, after_truncation_a_sequence_is_as_if_nothing_had_followed) {
  const auto weights = random_weights(GetParam().config, 12);
  const int V = weights->config().vocab_size;
  const std::vector<int> tokens = random_tokens(50, V, 6);
  const std::span<const int> all(tokens);
  Decoder decoder(*weights);
  PagePool pool = pool_of(weights->config());
  Sequence sequence(pool, {tokens.begin(), tokens.begin() + 10});
  sequence.append(all.subspan(20));  // two pages
  decoder.forward(sequence, 40, 0);
  for (const int kept : {34, 32, 11, 10}) {
    sequence.truncate(kept);
    sequence.release_spare();
    EXPECT_EQ(int(sequence.pages().size()), (kept + kPageTokens - 1) / kPageTokens);
    EXPECT_EQ(pool.available() + int(sequence.pages().size()), pool.pages());
  }
  sequence.append(all.subspan(10, 30));
  decoder.forward(sequence, 30, 0);
  const Buffer<float> wanted =
      read_in_steps(decoder, {tokens.begin(), tokens.begin() + 41}, 10, {1});
  sequence.append(all.subspan(40, 1));
  const auto got = decoder.forward(sequence, 1, 1);
  EXPECT_EQ(std::memcmp(got.data(), wanted.end() - V, got.size_bytes()), 0);
}

std::string name_of(const testing::TestParamInfo<NamedConfig>& test) { return test.param.name; }

INSTANTIATE_TEST_SUITE_P(Decoder, EveryArchitecture, testing::ValuesIn(all_configs()), name_of);
INSTANTIATE_TEST_SUITE_P(Trained, EveryForm, testing::ValuesIn(all_configs()), name_of);
INSTANTIATE_TEST_SUITE_P(GroupedQuery, EveryForm, testing::ValuesIn(grouped_query_configs()),
                         name_of);

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
  CacheFormat format = CacheFormat::kF32;
  const auto run = [&](int n, int prompt, const std::vector<int>& sizes) {
    set_thread_count(n);
    const Weights weights(*model, NumberFormat::kF32);
    Decoder decoder(weights);
    return read_in_steps(decoder, tokens, prompt, sizes, format);
  };
  for (const CacheFormat each : formats_of(model->config())) {
    format = each;
    EXPECT_TRUE(same_bits(run(1, 20, {20}), run(3, 20, {20})));
    EXPECT_TRUE(same_bits(run(1, 1, {1}), run(3, 1, {1})));
  }
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
  FeedForward feed_forward(model->config());
  feed_forward.forward(weights.layers.back(), x.data(), got.data(), N);
  if (block.moe) {
    EXPECT_EQ(feed_forward.choices().all,
              std::accumulate(block.moe->load.begin(), block.moe->load.end(), int64_t(0)));
  }
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

}  // namespace
}  // namespace shenhong
