#include "infer/engine.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "infer/tiny_models.h"
#include "model/model_directory.h"
#include "text/bpe_train.h"
#include "text/special_tokens.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

// A model directory with random weights and a tokenizer of bytes and a few merges, so that most
// Chinese characters are made of several tokens.
class EngineTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = fs::path(testing::TempDir()) / fmt::format("engine_test_model_{}", ::getpid());
    BpeTrainer trainer;
    for (int i = 0; i < 20; ++i) trainer.add("床前明月光，疑是地上霜。the moon and the frost");
    const Tokenizer tokenizer = trainer.train(300);
    ModelConfig config = tiny_config();
    config.vocab_size = tokenizer.vocab_size() + 20;  // padded, as published models are
    config.bos_token_id = tokenizer.bos_id();
    config.eos_token_id = tokenizer.eos_id();
    save_model(*random_model(config, 21), directory_, WeightFormat::kF32);
    save_tokenizer_files(tokenizer, ChatTemplate::deepseek(), directory_);
  }
  static void TearDownTestSuite() { fs::remove_all(directory_); }

  // Everything may be drawn, so random weights give many half characters and control tokens.
  static GenerateRequest request(const Engine& engine, uint64_t seed = 1) {
    GenerateRequest r;
    r.prompt = engine.text_prompt("床前");
    r.sampling = SamplingConfig{.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0, .seed = seed};
    return r;
  }
  static std::string error_of(Engine& engine, const GenerateRequest& request) {
    try {
      engine.generate(request);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Exit::kUsage);
      return e.what();
    }
    return "";
  }

  inline static fs::path directory_;
};

TEST_F(EngineTest, pieces_are_whole_characters_and_add_up_to_the_text) {
  Engine engine(directory_);
  size_t broken = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::string sum;
    const GenerateResult result =
        engine.generate(request(engine, seed), [&](std::string_view piece) {
          EXPECT_TRUE(is_valid_utf8(piece));
          EXPECT_FALSE(piece.empty());
          sum += piece;
          return true;
        });
    EXPECT_EQ(sum, result.text);
    for (const std::string_view name : kSpecialTokens) EXPECT_EQ(sum.find(name), sum.npos);
    broken += result.text != engine.tokenizer().decode(result.tokens);
    for (const int id : result.tokens) {
      EXPECT_LT(id, engine.tokenizer().vocab_size());
      EXPECT_NE(id, engine.config().eos_token_id);
    }
  }
  EXPECT_GT(broken, 0u);  // some answers did hold what must not be shown
}

// A guide that only shows something changes neither what is drawn nor where the answer ends.
TEST_F(EngineTest, what_a_guide_only_shows_is_not_read) {
  struct Marker : Guide {
    explicit Marker(std::span<const int> banned) : banned_(banned) {}
    std::optional<Writing> write(std::span<const float>, size_t, size_t) override {
      if (drawn.size() != 3 || marked) return {};
      marked = true;
      return Writing{{}, "[1]"};
    }
    void drew(int id) override { drawn.push_back(id); }
    std::span<const int> banned() const override { return banned_; }
    std::span<const int> banned_;
    std::vector<int> drawn;
    bool marked = false;
  };
  Engine engine(directory_);
  Marker marker(engine.look_up_tokens());
  GenerateRequest r = request(engine, 3);
  r.max_tokens = 12;
  const GenerateResult plain = engine.generate(r);
  r.guide = &marker;
  const GenerateResult marked = engine.generate(r);
  EXPECT_EQ(marked.tokens, plain.tokens);
  EXPECT_EQ(marker.drawn, plain.tokens);
  EXPECT_NE(marked.text.find("[1]"), marked.text.npos);
}

// The same model directory with a prediction module whose drafts are often right.
class DraftsTest : public EngineTest {
 protected:
  static void SetUpTestSuite() {
    EngineTest::SetUpTestSuite();
    save_model(*agreeing_model(read_config(directory_ / "config.json"), 0.3, 22), directory_,
               WeightFormat::kF32);
  }
  static constexpr int kSettings[] = {kAutoDrafts, 1, 2, 3, 4, kMostDrafts};

  // Everything that a reader can tell of an answer.
  static std::string told(Engine& engine, GenerateRequest request, int drafts,
                          int most_pieces = 0) {
    request.drafts = drafts;
    std::string pieces;
    int count = 0;
    const GenerateResult r = engine.generate(request, [&](std::string_view piece) {
      pieces += fmt::format("[{}]", piece);
      return ++count != most_pieces;
    });
    std::string out = fmt::format("{} {} {} |", pieces, r.text, finish_name(r.finish));
    for (const int id : r.tokens) out += fmt::format(" {}", id);
    const int64_t made = r.drafts.all_made();
    made_ += made;
    accepted_ += r.drafts.all_accepted();
    EXPECT_TRUE(drafts != 0 || made == 0);
    return out;
  }

  inline static std::atomic<int64_t> made_ = 0, accepted_ = 0;
};

// A9 of the acceptance table, greedy and drawn, with everything that can end an answer.
TEST_F(DraftsTest, change_nothing_that_can_be_told) {
  Engine engine(directory_, {.drafts = kAutoDrafts});
  ASSERT_TRUE(engine.can_draft());
  made_ = accepted_ = 0;
  for (uint64_t seed = 0; seed < 12; ++seed) {
    GenerateRequest r = request(engine, seed);
    if (seed % 3 == 0) r.sampling.temperature = 0;
    if (seed % 4 == 1) r.sampling.presence_penalty = 1.5;
    if (seed % 4 == 2) r.sampling.repetition_penalty = 1.3;
    if (seed % 2 == 1) r.sampling.top_k = 20;
    if (seed % 5 == 3) r.max_tokens = int(seed) + 1;
    const std::string wanted = told(engine, r, 0);
    for (const int drafts : kSettings) EXPECT_EQ(told(engine, r, drafts), wanted) << drafts;
    const std::string cancelled = told(engine, r, 0, 3);
    for (const int drafts : kSettings) EXPECT_EQ(told(engine, r, drafts, 3), cancelled) << drafts;
    // What it said anyway, as a stop string.
    const std::string text = engine.generate(r).text;
    if (text.size() < 12 || !is_valid_utf8(text.substr(6, 6))) continue;
    r.stop = {text.substr(6, 6)};
    const std::string stopped = told(engine, r, 0);
    for (const int drafts : kSettings) EXPECT_EQ(told(engine, r, drafts), stopped) << drafts;
  }
  EXPECT_GT(accepted_, 100);
  EXPECT_GT(made_ - accepted_, 100);
}

TEST_F(DraftsTest, a_guide_writes_what_it_would_write_without) {
  // Every few tokens it writes a few, and once shows something only.
  struct Writer : Guide {
    explicit Writer(std::span<const int> banned) : banned_(banned) {}
    std::optional<Writing> write(std::span<const float> logits, size_t shown, size_t) override {
      log += fmt::format(" {}:{:a}", shown, logits[7]);
      if (++draws % 5 != 0) return {};
      if (draws == 10) return Writing{{}, "[1]"};
      return Writing{{70 + draws % 3, 80, 81}, "x", draws > 40};
    }
    void drew(int id) override { log += fmt::format(" {}", id); }
    std::span<const int> banned() const override { return banned_; }
    std::span<const int> banned_;
    std::string log;
    int draws = 0;
  };
  Engine engine(directory_, {.drafts = 2});
  for (uint64_t seed = 0; seed < 6; ++seed) {
    GenerateRequest r = request(engine, seed);
    if (seed % 2 == 0) r.sampling.temperature = 0;
    std::string wanted, log;
    for (const int drafts : {0, 1, 2, 4, kAutoDrafts}) {
      Writer writer(engine.look_up_tokens());
      r.guide = &writer;
      const std::string got = told(engine, r, drafts);
      if (drafts == 0) wanted = got, log = writer.log;
      EXPECT_EQ(got, wanted);
      EXPECT_EQ(writer.log, log);
    }
  }
}

// Each with drafts of its own or none, in a cache that cannot hold all, some cancelled.
TEST_F(DraftsTest, change_nothing_in_company) {
  Engine engine(directory_, {.cache_bytes = cache_bytes(read_config(directory_ / "config.json"),
                                                        256, /*drafts=*/true),
                             .drafts = kAutoDrafts});
  std::vector<std::string> wanted, got(24);
  const auto ask = [&](uint64_t i, int drafts) {
    GenerateRequest r = request(engine, i);
    if (i % 3 == 0) r.sampling.temperature = 0;
    return told(engine, r, drafts, i % 5 == 0 ? 4 : 0);
  };
  for (uint64_t i = 0; i < got.size(); ++i) wanted.push_back(ask(i, 0));
  {
    std::vector<std::jthread> callers;
    for (uint64_t i = 0; i < got.size(); ++i)
      callers.emplace_back([&, i] { got[i] = ask(i, int(i % 6) - 1); });
  }
  EXPECT_EQ(got, wanted);
}

TEST_F(DraftsTest, want_a_module) {
  const fs::path without = directory_.string() + "_without";
  fs::copy(directory_, without, fs::copy_options::recursive);
  ModelConfig config = read_config(directory_ / "config.json");
  config.num_nextn_predict_layers = 0;
  save_model(*random_model(config, 21), without, WeightFormat::kF32);
  Engine engine(without, {.drafts = kAutoDrafts});
  EXPECT_FALSE(engine.can_draft());
  EXPECT_EQ(told(engine, request(engine), 4), told(engine, request(engine), 0));
  try {
    Engine broken(without, {.drafts = 2});
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Exit::kUsage);
    EXPECT_NE(std::string(e.what()).find("no prediction module"), std::string::npos);
  }
  fs::remove_all(without);
}

TEST_F(EngineTest, the_same_seed_gives_the_same_answer) {
  Engine engine(directory_), other(directory_);
  const GenerateResult a = engine.generate(request(engine, 7)),
                       b = other.generate(request(engine, 7));
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_NE(a.tokens, other.generate(request(engine, 8)).tokens);
}

TEST_F(EngineTest, greedy_answers_are_those_of_the_training_forward) {
  Engine engine(directory_);
  GenerateRequest r = request(engine);
  r.sampling.temperature = 0;
  r.max_tokens = 12;
  const GenerateResult result = engine.generate(r);
  const auto model = load_model(directory_);
  std::vector<int> tokens = r.prompt;
  for (const int id : result.tokens) {
    const Buffer<float> logits = full_logits(*model, tokens);
    const float* last = logits.end() - engine.config().vocab_size;
    EXPECT_EQ(id, int(std::max_element(last, last + engine.tokenizer().vocab_size()) - last));
    tokens.push_back(id);
  }
}

// A prompt with a beginning in common with one before skips that beginning's full pages, and says
// what it would have said without.
TEST_F(EngineTest, the_next_turn_reads_only_what_is_new) {
  Engine engine(directory_);
  GenerateRequest r = request(engine);
  r.max_tokens = 6;
  r.prompt = engine.text_prompt("床前明月光，疑是地上霜。床前明月光，疑是地上霜。床霜");
  r.prompt.resize(40, r.prompt[1]);
  const GenerateResult first = engine.generate(r);
  EXPECT_EQ(first.cached_tokens, 0);
  r.prompt.insert(r.prompt.end(), first.tokens.begin(), first.tokens.end());
  r.prompt.push_back(r.prompt[2]);
  const GenerateResult second = engine.generate(r);
  EXPECT_EQ(second.cached_tokens, kPageTokens);
  EXPECT_EQ(second.tokens, Engine(directory_).generate(r).tokens);
  r.prompt.resize(kPageTokens);
  EXPECT_EQ(engine.generate(r).cached_tokens, 0) << "its last token's logits are wanted";
}

TEST_F(EngineTest, answers_at_the_same_time_are_those_of_one_after_the_other) {
  Engine engine(directory_,
                {.cache_bytes = cache_bytes(read_config(directory_ / "config.json"), 160)});
  std::vector<GenerateResult> wanted, got(12);
  std::vector<std::string> shown(got.size());
  for (uint64_t seed = 0; seed < got.size(); ++seed)
    wanted.push_back(engine.generate(request(engine, seed)));
  {
    std::vector<std::jthread> callers;
    for (uint64_t seed = 0; seed < got.size(); ++seed)
      callers.emplace_back([&, seed] {
        got[seed] = engine.generate(request(engine, seed), [&](std::string_view piece) {
          shown[seed] += piece;
          return true;
        });
      });
  }
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].tokens, wanted[i].tokens) << i;
    EXPECT_EQ(got[i].text, wanted[i].text);
    EXPECT_EQ(shown[i], wanted[i].text);
    EXPECT_EQ(got[i].finish, wanted[i].finish);
  }
}

// The context is what the cache holds, where that is less than the model's.
TEST_F(EngineTest, a_small_cache_shortens_the_context) {
  Engine engine(directory_,
                {.cache_bytes = cache_bytes(read_config(directory_ / "config.json"), 32)});
  EXPECT_EQ(engine.cache_tokens(), 32);
  EXPECT_TRUE(engine.cache_limits_context());
  EXPECT_EQ(engine.context_tokens(), 32);
  GenerateRequest r = request(engine);
  uint64_t seed = 0;
  GenerateResult result;
  do {
    r.sampling.seed = seed++;
    result = engine.generate(r);
  } while (result.finish == Finish::kStop);
  EXPECT_EQ(r.prompt.size() + result.tokens.size(), 32u);
  r.prompt.resize(32, 5);
  EXPECT_NE(error_of(engine, r).find("--cache-mib"), std::string::npos);
}

TEST_F(EngineTest, the_same_memory_holds_more_tokens_in_fewer_bits) {
  const auto tokens = [&](CacheFormat format) {
    Engine engine(directory_, {.cache_bytes = 1 << 20, .cache = format});
    EXPECT_EQ(engine.cache_format(), format);
    EXPECT_FALSE(engine.cache_limits_context());
    return engine.cache_tokens();
  };
  const int64_t f32 = tokens(CacheFormat::kF32);
  EXPECT_GE(tokens(CacheFormat::kF16), 2 * f32);
  // No more than f16 here: beside so short a latent the rotary key's floats weigh as much.
  EXPECT_GT(tokens(CacheFormat::kInt8), f32);
}

TEST_F(EngineTest, an_answer_ends_at_max_tokens_or_when_the_context_is_full) {
  Engine engine(directory_);
  GenerateRequest r = request(engine);
  r.max_tokens = 3;
  GenerateResult result = engine.generate(r);
  EXPECT_EQ(result.tokens.size(), 3u);
  EXPECT_EQ(result.finish, Finish::kLength);
  EXPECT_EQ(result.prompt_tokens, int(r.prompt.size()));
  r.max_tokens = 0;
  uint64_t seed = 0;
  do {
    r.sampling.seed = seed++;
    result = engine.generate(r);
  } while (result.finish == Finish::kStop);  // until no end token happened to be drawn
  EXPECT_EQ(int(r.prompt.size() + result.tokens.size()), engine.context_tokens());
}

TEST_F(EngineTest, an_answer_ends_at_the_end_token) {
  Engine engine(directory_);
  GenerateRequest r = request(engine);
  GenerateResult result;
  do {
    ++r.sampling.seed;
    result = engine.generate(r);
  } while (result.finish != Finish::kStop);
  EXPECT_LT(int(r.prompt.size() + result.tokens.size()), engine.context_tokens());
}

TEST_F(EngineTest, stop_strings_are_found_across_tokens_and_never_shown) {
  Engine engine(directory_);
  GenerateRequest r = request(engine);
  std::string text;
  while (count_characters(text) < 12) {
    ++r.sampling.seed;
    text = engine.generate(r).text;
  }
  size_t begin = 0, end = 0;
  for (int i = 0; i < 4; ++i) begin += size_t(code_point_at(text, begin).bytes);
  for (end = begin; count_characters(text.substr(begin, end - begin)) < 5;)
    end += size_t(code_point_at(text, end).bytes);
  r.stop = {text.substr(begin, end - begin)};
  std::string shown;
  const GenerateResult result = engine.generate(r, [&](std::string_view piece) {
    shown += piece;
    return true;
  });
  EXPECT_EQ(result.text, text.substr(0, text.find(r.stop[0])));
  EXPECT_EQ(shown, result.text);
  EXPECT_EQ(result.finish, Finish::kStop);
}

TEST_F(EngineTest, the_caller_can_cancel_while_text_comes_and_before_it_does) {
  Engine engine(directory_);
  GenerateRequest r = request(engine);
  int pieces = 0;
  GenerateResult result = engine.generate(r, [&](std::string_view) { return ++pieces < 2; });
  EXPECT_EQ(pieces, 2);
  EXPECT_EQ(result.finish, Finish::kCancelled);
  EXPECT_FALSE(result.text.empty());

  std::stop_source source;
  source.request_stop();
  r.prompt = engine.text_prompt("霜");
  result = engine.generate(r, {}, source.get_token());
  EXPECT_EQ(result.finish, Finish::kCancelled);
  EXPECT_TRUE(result.tokens.empty());

  std::stop_source later;
  result = engine.generate(
      r, [&](std::string_view) { return later.request_stop(), true; }, later.get_token());
  EXPECT_EQ(result.finish, Finish::kCancelled);
  EXPECT_NE(engine.generate(r).finish, Finish::kCancelled);
}

TEST_F(EngineTest, bad_requests_are_named_and_do_no_harm) {
  Engine engine(directory_);
  GenerateRequest r = request(engine);
  const GenerateResult before = engine.generate(r);
  GenerateRequest bad = r;
  bad.prompt.clear();
  EXPECT_EQ(error_of(engine, bad), "the prompt is empty; give at least one token");
  bad.prompt.assign(64, 5);
  EXPECT_EQ(error_of(engine, bad),
            "the prompt has 64 tokens, but the context of this model holds 64 with the answer; "
            "shorten it or start a "
            "new conversation");
  bad.prompt = {5, -1};
  EXPECT_NE(error_of(engine, bad).find("token -1"), std::string::npos);
  bad = r;
  bad.max_tokens = -1;
  EXPECT_NE(error_of(engine, bad).find("max_tokens = -1"), std::string::npos);
  bad = r;
  bad.stop = {""};
  EXPECT_NE(error_of(engine, bad), "");
  bad = r;
  bad.sampling.top_p = 7;
  EXPECT_NE(error_of(engine, bad).find("top_p = 7"), std::string::npos);
  EXPECT_EQ(engine.generate(r).tokens, before.tokens);
}

TEST_F(EngineTest, generation_config_sets_sampling_and_end_tokens) {
  const auto read = [&](const char* json) {
    write_file(directory_ / "generation_config.json", json);
    const GenerationConfig out = read_generation_config(directory_, tiny_config());
    fs::remove(directory_ / "generation_config.json");
    return out;
  };
  GenerationConfig c = read(
      R"({"temperature": 0.6, "top_k": 5, "top_p": null, "eos_token_id": [3, 4], "transformers_version": "5"})");
  EXPECT_EQ(c.sampling.temperature, 0.6);
  EXPECT_EQ(c.sampling.top_k, 5);
  EXPECT_EQ(c.sampling.top_p, SamplingConfig().top_p);
  EXPECT_EQ(c.end_tokens, (std::vector<int>{3, 4}));
  c = read(R"({"do_sample": false})");
  EXPECT_EQ(c.sampling.temperature, 0);
  EXPECT_EQ(c.end_tokens, (std::vector<int>{tiny_config().eos_token_id}));
  EXPECT_THROW(read(R"({"eos_token_id": 100000})"), Error);
  EXPECT_THROW(read(R"({"eos_token_id": "x"})"), Error);
  EXPECT_THROW(read(R"({"top_p": 3})"), Error);
  EXPECT_THROW(read("[]"), Error);
  EXPECT_THROW(read("{"), Error);
}

TEST_F(EngineTest, a_tokenizer_larger_than_the_model_is_refused) {
  const fs::path broken =
      fs::path(testing::TempDir()) / fmt::format("engine_test_contradiction_{}", ::getpid());
  fs::copy(directory_, broken, fs::copy_options::overwrite_existing | fs::copy_options::recursive);
  ModelConfig config = read_config(directory_ / "config.json");
  config.vocab_size = 290;
  save_model(Model<float>(config), broken, WeightFormat::kF32);
  EXPECT_THROW(Engine{broken}, Error);
  fs::remove_all(broken);
  EXPECT_THROW(Engine{broken}, Error);
}

}  // namespace
}  // namespace shenhong
