#include "infer/drafter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "infer/decoder.h"
#include "infer/tiny_models.h"

namespace shenhong {
namespace {

std::vector<NamedConfig> configs_with_a_module() {
  std::vector<NamedConfig> all = all_configs();
  for (NamedConfig& named : all) named.config.num_nextn_predict_layers = 1;
  return all;
}

// The definition, by the training model: the trunk's streams, and what its module makes of streams
// and tokens.
class Definition {
 public:
  explicit Definition(Model<float>& model) : model_(model), D_(model.config().hidden_size) {}

  // Before the final norm, [T,D].
  Buffer<float> streams(const std::vector<int>& tokens) {
    const int T = int(tokens.size());
    Buffer<float> x = embeddings(tokens), next(x.size());
    for (size_t l = 0; l < model_.layers.size(); ++l) {
      if (model_.memories[l]) model_.memories[l]->forward(tokens.data(), T, x.data(), 1, T);
      model_.layers[l].forward(x.data(), next.data(), 1, T, model_.rope());
      std::swap(x, next);
    }
    return x;
  }

  // Logits of what follows `last` after the tokens whose streams those are, one token ahead of each
  // stream. The module's output takes its place behind the streams.
  std::vector<double> logits(Buffer<float>& streams, const std::vector<int>& tokens) {
    const int T = int(streams.size()) / D_;
    Buffer<float> out(streams.size());
    const Buffer<float> ahead = embeddings({tokens.begin() + 1, tokens.begin() + 1 + T});
    model_.mtp[0].forward(streams.data(), ahead.data(), out.data(), 1, T, model_.rope());
    const float* h = out.data() + int64_t(T - 1) * D_;
    Buffer<float> longer(streams.size() + D_);
    std::copy(streams.begin(), streams.end(), longer.begin());
    std::copy_n(h, D_, longer.data() + streams.size());
    streams = std::move(longer);
    double square = 0;
    for (int i = 0; i < D_; ++i) square += double(h[i]) * h[i];
    const double scale = 1 / std::sqrt(square / D_ + model_.config().rms_norm_eps);
    std::vector<double> result(size_t(model_.config().vocab_size), 0.0);
    for (size_t v = 0; v < result.size(); ++v)
      for (int i = 0; i < D_; ++i)
        result[v] += scale * h[i] * model_.mtp[0].shared_head_norm.value[i] *
                     double(model_.head().value[int64_t(v) * D_ + i]);
    return result;
  }

 private:
  Buffer<float> embeddings(const std::vector<int>& tokens) const {
    Buffer<float> out(int64_t(tokens.size()) * D_);
    for (size_t i = 0; i < tokens.size(); ++i)
      std::copy_n(model_.embed_tokens.value.data() + int64_t(tokens[i]) * D_, D_,
                  out.data() + int64_t(i) * D_);
    return out;
  }

  Model<float>& model_;
  int D_;
};

double largest_gap(std::span<const float> got, const std::vector<double>& wanted) {
  EXPECT_EQ(got.size(), wanted.size());
  double gap = 0;
  for (size_t i = 0; i < got.size(); ++i)
    gap = std::max(gap, std::isnan(got[i]) ? INFINITY : std::abs(got[i] - wanted[i]));
  return gap;
}

class DrafterOfEveryArchitecture : public testing::TestWithParam<NamedConfig> {};

// The module's logits are training's, also where several tokens were read since the last draft, and
// chained ones are what the module makes of its own outputs.
TEST_P(DrafterOfEveryArchitecture, drafts_are_the_module_s) {
  const auto model = random_model(GetParam().config, 41);
  const ModelConfig& config = model->config();
  const std::vector<int> tokens = random_tokens(60, config.vocab_size, 6);
  const Weights weights(*model, NumberFormat::kF32);
  Decoder decoder(weights);
  Definition definition(*model);
  for (const int prompt : {1, 20, 32, 41}) {
    PagePool pool(config, cache_bytes(config, 96, true), true);
    Sequence sequence(pool, {tokens.begin(), tokens.begin() + prompt});
    while (sequence.pending() > 0) decoder.forward(sequence, std::min(7, sequence.pending()), 0);
    for (int n = prompt; n + 4 < int(tokens.size()); ++n) {
      sequence.append({&tokens[size_t(n)], 1});
      if (n == prompt || n % 5 == 0 || n % 7 == 0) {
        ASSERT_TRUE(sequence.reserve(4));
        Buffer<float> streams = definition.streams({tokens.begin(), tokens.begin() + n});
        Sequence* one = &sequence;
        for (int depth = 1; depth <= 3; ++depth) {
          const auto got = decoder.draft({&one, 1});
          EXPECT_LE(largest_gap(got, definition.logits(streams, tokens)), 1e-4)
              << "prompt " << prompt << ", token " << n << ", depth " << depth;
          sequence.draft(tokens[size_t(n + depth)]);
        }
        sequence.truncate(n + 1);
      }
      decoder.forward(sequence, 1, 0);
    }
  }
}

// What one sequence drafts does not depend on the others, nor on who read its prompt.
TEST_P(DrafterOfEveryArchitecture, drafts_do_not_depend_on_company) {
  const auto model = random_model(GetParam().config, 42);
  const ModelConfig& config = model->config();
  const Weights weights(*model, NumberFormat::kF32);
  Decoder decoder(weights);
  PagePool pool(config, cache_bytes(config, 40 * kPageTokens, true), true);
  const auto begin = [&](int prompt, uint64_t seed) {
    auto s = std::make_unique<Sequence>(pool, random_tokens(prompt, config.vocab_size, seed));
    s->share();
    decoder.forward(*s, s->pending(), 0);
    s->append(random_tokens(1, config.vocab_size, seed + 100));
    EXPECT_TRUE(s->reserve(3));
    return s;
  };
  std::vector<std::vector<float>> alone;
  std::vector<std::unique_ptr<Sequence>> all;
  std::vector<Sequence*> pointers;
  for (int i = 0; i < 5; ++i) {
    const int prompt = 3 + 11 * i;
    const auto one = begin(prompt, 7);
    Sequence* pointer = one.get();
    auto logits = decoder.draft({&pointer, 1});
    alone.emplace_back(logits.begin(), logits.end());
    one->draft(5);
    logits = decoder.draft({&pointer, 1});
    alone.emplace_back(logits.begin(), logits.end());
    all.push_back(begin(prompt, 7));
    pointers.push_back(all.back().get());
  }
  EXPECT_GT(all.back()->shared(), 0);
  for (size_t depth = 0; depth < 2; ++depth) {
    const auto logits = decoder.draft(pointers);
    for (size_t i = 0; i < all.size(); ++i) {
      const std::vector<float>& wanted = alone[2 * i + depth];
      EXPECT_EQ(std::memcmp(logits.data() + i * wanted.size(), wanted.data(),
                            wanted.size() * sizeof(float)),
                0)
          << i << ", depth " << depth;
      all[i]->draft(5);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Drafter, DrafterOfEveryArchitecture,
                         testing::ValuesIn(configs_with_a_module()),
                         [](const auto& test) { return test.param.name; });

// Numbers of the form that others publish: the draft head in int8 beside a bf16 head ranks alike.
TEST(Drafter, the_small_head_is_nearly_the_head) {
  ModelConfig config = tiny_config();
  config.hidden_size = 64;
  config.num_nextn_predict_layers = 1;
  const auto model = random_model(config, 43);
  const Weights fine(*model, NumberFormat::kF32), coarse(*model, NumberFormat::kBF16);
  ASSERT_EQ(fine.mtp->head.rows(), 0);
  ASSERT_EQ(coarse.mtp->head.view().format, NumberFormat::kInt8);
  const auto draft = [&](const Weights& weights) {
    Decoder decoder(weights);
    PagePool pool(config, cache_bytes(config, 32, true), true);
    Sequence s(pool, random_tokens(9, config.vocab_size, 1));
    decoder.forward(s, 9, 0);
    s.append(random_tokens(1, config.vocab_size, 2));
    EXPECT_TRUE(s.reserve(1));
    Sequence* one = &s;
    const auto logits = decoder.draft({&one, 1});
    return std::vector<double>(logits.begin(), logits.end());
  };
  const std::vector<double> a = draft(fine), b = draft(coarse);
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    size += a[i] * a[i];
  }
  EXPECT_LE(std::sqrt(difference / size), 0.06);
}

TEST(Sequence, a_draft_that_is_said_becomes_a_token_and_others_are_taken_back) {
  const ModelConfig config = tiny_config();
  PagePool pool(config, cache_bytes(config, 96, true), true);
  Sequence s(pool, random_tokens(30, 90, 1));
  ASSERT_TRUE(s.reserve(30));
  s.advance(30);
  const std::vector<int> said = {1, 2, 3};
  s.append({&said[0], 1});
  ASSERT_TRUE(s.reserve(4));
  s.advance_module();
  for (const int token : {2, 3, 4}) s.draft(token);
  EXPECT_EQ(s.size(), 31);
  EXPECT_EQ(s.pending(), 1);
  EXPECT_EQ(s.unread(), 4);
  s.advance(4);
  EXPECT_EQ(s.pages().size(), 2u);
  s.append(std::span(said).subspan(1));
  EXPECT_EQ(s.size(), 33);
  EXPECT_EQ(s.pending(), 0);
  EXPECT_EQ(s.drafts(), 1);
  EXPECT_EQ(s.module_read(), 31) << "chained rows do not count";
  const int other = 9;
  s.append({&other, 1});
  EXPECT_EQ(s.size(), 34);
  EXPECT_EQ(s.read(), 33);
  EXPECT_EQ(s.drafts(), 0);
  EXPECT_EQ(s.tokens().back(), 9);
  s.draft(5);
  s.release();
  EXPECT_EQ(s.pending(), 34);
  EXPECT_EQ(s.unread(), 34);
  EXPECT_EQ(s.module_read(), 0);
  EXPECT_EQ(pool.available(), pool.pages());
}

}  // namespace
}  // namespace shenhong
