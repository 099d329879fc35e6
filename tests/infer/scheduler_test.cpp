#include "infer/scheduler.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <thread>

#include "core/error.h"
#include "core/parallel.h"
#include "infer/sampler.h"
#include "infer/step_thread.h"
#include "infer/tiny_models.h"

namespace shenhong {
namespace {

ModelConfig long_config() {
  ModelConfig c = tiny_config();
  c.max_position_embeddings = 400;
  return c;
}

// In widths that every number format has blocks for.
ModelConfig block_config() {
  ModelConfig c = long_config();
  c.hidden_size = 64;
  c.q_lora_rank = 32;
  c.kv_lora_rank = 32;
  c.qk_nope_head_dim = 32;
  c.v_head_dim = 32;
  c.intermediate_size = 96;
  c.moe_intermediate_size = 32;
  return c;
}

ModelConfig beyond_config() {
  ModelConfig c = beyond_configs().back().config;
  c.max_position_embeddings = 400;
  return c;
}

struct Ask {
  std::vector<int> prompt;
  int tokens = 1;  // of the answer
  SamplingConfig sampling;
  bool writes = false;  // now and then several tokens at once, as a guide does
  int drafts = 0;
};

// Keeps every logit that it is given.
class Recorder : public Continuation {
 public:
  Recorder(PagePool& pool, const Ask& asked)
      : Continuation(pool, asked.prompt, asked.drafts), ask(asked), sampler_(asked.sampling) {}

  bool go_on(std::span<const float> row) override {
    logits.emplace_back(row.begin(), row.end());
    if (answered() == 0) shared = sequence.shared();
    const int id = sampler_.sample(row, sequence.tokens());
    sequence.append({&id, 1});
    if (ask.writes && id % 4 == 0)
      for (int i = 0; i < 1 + id % 7; ++i) sequence.append(std::span(ask.prompt).subspan(0, 1));
    if (answered() < ask.tokens) return true;
    done = true;
    return false;
  }
  std::optional<int> draft(std::span<const float> row) override {
    const int id = sampler_.sample(row, sequence.tokens_and_drafts());
    return ask.writes && id % 50 == 17 ? std::nullopt
                                       : std::optional(id);  // as if it were an end token
  }
  int most_drafts() const override { return ask.tokens - answered() - 1; }
  bool cancelled() const override { return cancel; }
  int answered() const { return sequence.size() - sequence.prompt_tokens(); }

  const Ask ask;
  std::vector<std::vector<float>> logits;  // of every draw
  int shared = 0;
  bool cancel = false, done = false;

 private:
  Sampler sampler_;
};

int64_t bytes_of_pages(const ModelConfig& config, int pages) {
  return cache_bytes(config, int64_t(pages) * kPageTokens);
}

PagePool pool_of(const ModelConfig& config, int pages, bool drafts, CacheFormat format) {
  return PagePool(config, cache_bytes(config, int64_t(pages) * kPageTokens, drafts, format), drafts,
                  format);
}

// The answer without a scheduler: each time all that is pending in one step.
std::unique_ptr<Recorder> alone(Decoder& decoder, PagePool& pool, const Ask& ask) {
  auto recorder = std::make_unique<Recorder>(pool, ask);
  Sequence& s = recorder->sequence;
  while (recorder->go_on(decoder.forward(s, s.pending(), 1))) {
  }
  s.release();
  return recorder;
}

// That `got` says the same as `wanted`, to the bit, as far as it came.
void expect_same(const Recorder& got, const Recorder& wanted, const std::string& what) {
  ASSERT_LE(got.logits.size(), wanted.logits.size()) << what;
  ASSERT_TRUE(!got.done || got.logits.size() == wanted.logits.size()) << what;
  for (size_t i = 0; i < got.logits.size(); ++i)
    ASSERT_EQ(std::memcmp(got.logits[i].data(), wanted.logits[i].data(),
                          got.logits[i].size() * sizeof(float)),
              0)
        << what << ", draw " << i;
  const auto a = got.sequence.tokens(), b = wanted.sequence.tokens();
  EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin())) << what;
}

// Some prompts have a long beginning in common.
std::vector<Ask> random_asks(const ModelConfig& config, int count, uint64_t seed) {
  std::vector<Ask> asks;
  for (uint64_t i = 0; i < uint64_t(count); ++i) {
    const auto draw = [&](uint64_t below, uint64_t index) {
      return int(uniform_below(below, seed, i, index));
    };
    Ask ask;
    ask.prompt = random_tokens(200, config.vocab_size, uint64_t(draw(4, 0)));
    ask.prompt.resize(size_t(1 + draw(draw(2, 1) == 0 ? 20 : 200, 2)));
    if (draw(3, 3) == 0) ask.prompt.back() = draw(uint64_t(config.vocab_size), 4);
    ask.tokens = 1 + draw(120, 5);
    ask.sampling.temperature = draw(2, 6) == 0 ? 0 : 1.0 + draw(10, 7) / 10.0;
    ask.sampling.top_k = 0;
    ask.sampling.repetition_penalty = draw(2, 8) == 0 ? 1 : 1.2;
    ask.sampling.seed = uint64_t(draw(1 << 20, 9));
    ask.writes = draw(3, 10) == 0;
    ask.drafts = draw(6, 11) - 1;  // as many as pay, none, up to 4
    asks.push_back(ask);
  }
  return asks;
}

struct Setting {
  std::string name;
  ModelConfig config;
  NumberFormat format;
  double share;  // of what the layers add: the more, the fewer drafts are right
  CacheFormat cache = CacheFormat::kF32;
};
void PrintTo(const Setting& setting, std::ostream* out) { *out << setting.name; }

class EveryFormat : public testing::TestWithParam<Setting> {};

// A10 of the acceptance table: many random interleavings, with pages in plenty and short of them.
TEST_P(EveryFormat, an_answer_does_not_depend_on_who_else_is_there) {
  const auto model = agreeing_model(GetParam().config, GetParam().share, 31);
  const ModelConfig& config = model->config();
  const Weights weights(*model, GetParam().format);
  Decoder decoder(weights);
  int paused = 0, shared = 0, cancelled = 0;
  int64_t accepted = 0, rejected = 0, chained = 0;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const std::vector<Ask> asks = random_asks(config, 24, seed);
    std::vector<std::unique_ptr<Recorder>> wanted;
    for (const Ask& ask : asks) {
      PagePool fresh = pool_of(config, 16, /*drafts=*/false, GetParam().cache);
      wanted.push_back(alone(decoder, fresh, ask));
    }
    for (const int pages : {400, 12}) {
      PagePool pool = pool_of(config, pages, /*drafts=*/true, GetParam().cache);
      Scheduler scheduler(decoder);
      std::vector<std::unique_ptr<Recorder>> got;
      for (uint64_t step = 0; got.size() < asks.size() || !scheduler.idle(); ++step) {
        const auto draw = [&](uint64_t below, uint64_t index) {
          return uniform_below(below, seed * 1000 + uint64_t(pages), step, index);
        };
        while (got.size() < asks.size() && draw(3, got.size()) == 0) {
          got.push_back(std::make_unique<Recorder>(pool, asks[got.size()]));
          scheduler.add(*got.back());
        }
        if (!got.empty() && draw(12, 100) == 0) got[draw(got.size(), 101)]->cancel = true;
        const size_t waiting = scheduler.waiting();
        scheduler.step();
        paused += scheduler.waiting() > waiting;
      }
      EXPECT_EQ(pool.available(), pool.pages());
      for (size_t i = 0; i < asks.size(); ++i) {
        ASSERT_FALSE(got[i]->error);
        EXPECT_TRUE(got[i]->done || got[i]->cancel);
        shared += got[i]->shared > 0;
        cancelled += !got[i]->done;
        accepted += got[i]->drafts.all_accepted();
        chained += got[i]->drafts.accepted[3];
        rejected += got[i]->drafts.all_made() - got[i]->drafts.all_accepted();
        EXPECT_TRUE(asks[i].drafts != 0 || got[i]->drafts.all_made() == 0);
        expect_same(*got[i], *wanted[i], fmt::format("seed {}, {} pages, {}", seed, pages, i));
      }
    }
  }
  EXPECT_GT(paused, 0);
  EXPECT_GT(shared, 10);
  EXPECT_GT(cancelled, 3);
  EXPECT_GT(accepted, 500);
  EXPECT_GT(rejected, 500);
  EXPECT_GT(chained, 15);
}

INSTANTIATE_TEST_SUITE_P(Scheduler, EveryFormat,
                         testing::Values(Setting{"f32", long_config(), NumberFormat::kF32, 0.03},
                                         Setting{"int8", block_config(), NumberFormat::kInt8, 0.03},
                                         Setting{"beyond", beyond_config(), NumberFormat::kF32,
                                                 0.03},
                                         Setting{"f16_cache", block_config(), NumberFormat::kInt8,
                                                 0.03, CacheFormat::kF16},
                                         Setting{"int8_cache", long_config(), NumberFormat::kF32,
                                                 0.03, CacheFormat::kInt8}),
                         [](const auto& test) { return test.param.name; });

class SchedulerTest : public testing::Test {
 protected:
  Ask ask(int prompt, int tokens, uint64_t seed) const {
    return {random_tokens(prompt, config_.vocab_size, seed), tokens, {.seed = seed}};
  }
  // Until all are done; the indices of those that ended, in order.
  std::vector<const Continuation*> run(Scheduler& scheduler) {
    std::vector<const Continuation*> ended;
    while (!scheduler.idle())
      for (const Continuation* c : scheduler.step()) ended.push_back(c);
    return ended;
  }

  ModelConfig config_ = long_config();
  std::unique_ptr<Model<float>> model_ = random_model(config_, 32);
  Weights weights_{*model_, NumberFormat::kF32};
  Decoder decoder_{weights_};
};

TEST_F(SchedulerTest, a_long_prompt_holds_nobody_up) {
  PagePool pool(config_, bytes_of_pages(config_, 40));
  Scheduler scheduler(decoder_);
  Recorder talks(pool, ask(5, 50, 1)), reads(pool, ask(390, 1, 2));
  scheduler.add(talks);
  scheduler.step();
  ASSERT_EQ(talks.answered(), 1);
  scheduler.add(reads);
  int steps = 0;
  while (!reads.done) {
    scheduler.step();
    EXPECT_EQ(talks.answered(), 1 + ++steps) << "a token in every step";
  }
  EXPECT_EQ(steps, 4) << "chunks of " << kMixedChunk;
}

TEST(LongPrompt, is_read_in_chunks_that_grow_with_what_was_read) {
  ModelConfig config = tiny_config();
  config.max_position_embeddings = 1900;
  const std::unique_ptr<Model<float>> model = random_model(config, 32);
  const Weights weights{*model, NumberFormat::kF32};
  Decoder decoder{weights};
  PagePool pool(config, bytes_of_pages(config, 60));
  Scheduler scheduler(decoder);
  Recorder reads(pool, Ask{random_tokens(1800, config.vocab_size, 2), 1, {}});
  scheduler.add(reads);
  std::vector<int> read;
  while (!reads.done) {
    scheduler.step();
    if (!reads.done) read.push_back(reads.sequence.read());
  }
  EXPECT_EQ(read, (std::vector<int>{256, 512, 1024}));
}

TEST_F(SchedulerTest, who_comes_first_is_served_first_also_when_memory_is_short) {
  PagePool pool(config_, bytes_of_pages(config_, 7));
  Scheduler scheduler(decoder_);
  // The second is large, and the small ones behind it would fit beside the first.
  std::vector<std::unique_ptr<Recorder>> all;
  for (const int prompt : {100, 190, 10, 10, 10})
    all.push_back(std::make_unique<Recorder>(pool, ask(prompt, 8, all.size())));
  for (const auto& one : all) scheduler.add(*one);
  while (!scheduler.idle()) {
    scheduler.step();
    for (size_t i = 1; i < all.size(); ++i)
      EXPECT_TRUE(all[i]->logits.empty() || !all[i - 1]->logits.empty()) << i;
  }
  for (const auto& one : all) EXPECT_TRUE(one->done && !one->error);
}

TEST_F(SchedulerTest, a_cancelled_one_is_gone_with_the_next_step) {
  PagePool pool(config_, bytes_of_pages(config_, 9));
  Scheduler scheduler(decoder_);
  Recorder decoding(pool, ask(5, 300, 1)), reading(pool, ask(200, 5, 2)),
      waiting(pool, ask(30, 5, 3));
  scheduler.add(decoding);
  scheduler.step();
  scheduler.add(reading);
  scheduler.add(waiting);
  scheduler.step();
  ASSERT_EQ(scheduler.running(), 2u);
  ASSERT_EQ(scheduler.waiting(), 1u);
  for (Recorder* one : {&waiting, &reading, &decoding}) {
    one->cancel = true;
    const size_t draws = one->logits.size();
    const auto ended = scheduler.step();
    ASSERT_EQ(ended.size(), 1u);
    EXPECT_EQ(ended[0], one);
    EXPECT_EQ(one->logits.size(), draws) << "nothing is drawn any more";
    EXPECT_TRUE(one->sequence.pages().empty());
  }
  EXPECT_EQ(pool.available(), pool.pages());
  EXPECT_TRUE(scheduler.idle());
}

TEST_F(SchedulerTest, what_can_never_fit_is_refused_and_the_rest_goes_on) {
  PagePool pool(config_, bytes_of_pages(config_, 4));
  Scheduler scheduler(decoder_);
  Recorder prompt(pool, ask(150, 5, 1)), fits(pool, ask(20, 5, 2)), grows(pool, ask(100, 200, 3));
  for (Recorder* one : {&prompt, &grows, &fits}) scheduler.add(*one);
  run(scheduler);
  for (Recorder* one : {&prompt, &grows}) {
    ASSERT_TRUE(one->error);
    try {
      std::rethrow_exception(one->error);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Exit::kUsage);
      EXPECT_NE(std::string(e.what()).find("the latent cache holds 128"), std::string::npos);
    }
  }
  EXPECT_EQ(grows.logits.size(), 29u) << "as many as there was room for";
  EXPECT_TRUE(fits.done && !fits.error);
}

TEST_F(SchedulerTest, who_fails_ends_alone) {
  struct Failing : Recorder {
    using Recorder::Recorder;
    bool go_on(std::span<const float> row) override {
      if (logits.size() == 2) fail(Exit::kFailure, "the logit of token 5 is not a number");
      return Recorder::go_on(row);
    }
  };
  PagePool pool(config_, bytes_of_pages(config_, 8));
  Scheduler scheduler(decoder_);
  Recorder good(pool, ask(5, 9, 1));
  Failing bad(pool, ask(5, 9, 2));
  scheduler.add(bad);
  scheduler.add(good);
  run(scheduler);
  EXPECT_TRUE(bad.error && !good.error && good.done);
  EXPECT_EQ(pool.available(), pool.pages());
}

TEST_F(SchedulerTest, equal_prompts_that_come_together_are_read_once) {
  PagePool pool(config_, bytes_of_pages(config_, 60));
  Scheduler scheduler(decoder_);
  std::vector<std::unique_ptr<Recorder>> all;
  for (int i = 0; i < 4; ++i) all.push_back(std::make_unique<Recorder>(pool, ask(390, 1, 7)));
  for (const auto& one : all) scheduler.add(*one);
  run(scheduler);
  EXPECT_EQ(all[0]->shared, 0);
  for (size_t i = 1; i < all.size(); ++i) EXPECT_GE(all[i]->shared, kMixedChunk) << i;
}

// With drafts that are always right a step makes a token more for each.
TEST_F(SchedulerTest, right_drafts_save_steps) {
  const auto model = agreeing_model(config_, 0, 33);
  const Weights weights(*model, NumberFormat::kF32);
  Decoder decoder(weights);
  for (int drafts = 0; drafts <= 4; ++drafts) {
    PagePool pool(model->config(), cache_bytes(model->config(), 400, true), true);
    Scheduler scheduler(decoder);
    Ask greedy = ask(40, 61, 5);
    greedy.sampling.temperature = 0;
    greedy.drafts = drafts;
    Recorder one(pool, greedy);
    scheduler.add(one);
    int steps = 0;
    for (; !scheduler.idle(); ++steps) scheduler.step();
    EXPECT_TRUE(one.done);
    EXPECT_EQ(one.answered(), 61) << "not one too many";
    if (one.drafts.all_made() > 0) {
      EXPECT_EQ(one.drafts.all_made(), one.drafts.all_accepted());
    }
    EXPECT_EQ(steps, 1 + (60 + drafts) / (1 + drafts)) << drafts;
  }
}

// Many threads hand theirs in at their own times.
TEST_F(SchedulerTest, callers_on_many_threads_get_what_they_would_get_alone) {
  const std::vector<Ask> asks = random_asks(config_, 12, 9);
  std::vector<std::unique_ptr<Recorder>> wanted, got(asks.size());
  for (const Ask& one : asks) {
    PagePool fresh(config_, bytes_of_pages(config_, 16));
    wanted.push_back(alone(decoder_, fresh, one));
  }
  PagePool pool(config_, bytes_of_pages(config_, 20));
  StepThread steps(decoder_);
  {
    std::vector<std::jthread> callers;
    for (size_t caller = 0; caller < 4; ++caller) {
      callers.emplace_back([&, caller] {
        for (size_t i = caller; i < asks.size(); i += 4) {
          got[i] = std::make_unique<Recorder>(pool, asks[i]);
          steps.run(*got[i]);
        }
      });
    }
  }
  for (size_t i = 0; i < asks.size(); ++i) {
    EXPECT_TRUE(got[i]->done);
    expect_same(*got[i], *wanted[i], std::to_string(i));
  }
  Recorder never(pool, ask(399, 400, 1));
  never.sequence.append(random_tokens(500, config_.vocab_size, 1));
  EXPECT_THROW(steps.run(never), Error);
}

}  // namespace
}  // namespace shenhong
