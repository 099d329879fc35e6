#include "train/trainer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/parallel.h"
#include "core/random.h"
#include "train/run_log.h"

namespace shenhong {
namespace {

class TrainerTest : public testing::Test {
 protected:
  fs::path root = fs::path(testing::TempDir()) / fmt::format("trainer_test_{}", ::getpid());
  TrainConfig config;
  ModelConfig shape;

  void SetUp() override {
    fs::remove_all(root);
    shape.vocab_size = 40;
    shape.hidden_size = 16;
    shape.num_hidden_layers = 2;
    shape.max_position_embeddings = 16;
    shape.num_attention_heads = 2;
    shape.kv_lora_rank = 8;
    shape.qk_nope_head_dim = 6;
    shape.qk_rope_head_dim = 4;
    shape.v_head_dim = 6;
    shape.intermediate_size = 24;
    shape.n_routed_experts = 4;
    shape.moe_intermediate_size = 8;
    shape.num_nextn_predict_layers = 1;
    config.steps = 12;
    config.batch = 4;
    config.micro_batch = 2;
    config.seq_len = 12;
    config.log_every = 2;
    config.validate_every = 6;
    config.save_every = 3;
    config.validation_windows = 4;
    config.schedule.lr = 1e-2;
    config.schedule.warmup_steps = 2;
    for (const char* split : {"train", "valid"}) {
      ShardWriter writer(root / "text", split, {40, 7, 0, 1});
      for (int document = 0; document < 60; ++document) {
        std::vector<int> tokens{0};
        for (int i = 0; i < 11; ++i)
          tokens.push_back(2 + int(uniform_below(6, fnv1a(split), document, i)) * (1 + i % 5));
        tokens.push_back(1);
        writer.add(tokens, 30);
      }
      writer.finish();
    }
  }
  void TearDown() override { fs::remove_all(root); }

  // The weights after run(s) in `directory`; `stops` lists steps after which the run is asked to
  // stop.
  std::vector<float> train(const std::string& directory, std::vector<int64_t> stops) {
    std::vector<float> weights;
    for (size_t part = 0; part <= stops.size(); ++part) {
      Model<float> model(shape);
      model.initialize(config.seed);
      const auto source = [&](const char* split) {
        return std::make_shared<TokenSource>(root / "text", split);
      };
      Mixture mixture({{source("train"), 1.0}}, config.seq_len + 2, config.seed);
      std::vector<Windows> validation;
      validation.emplace_back(source("valid"), config.seq_len + 2, Packing::kStream, config.seed);
      TrainConfig now = config;
      Trainer trainer(now, model, std::move(mixture), std::move(validation), root / directory);
      // A run that is asked to stop before it begins still finishes one step and saves it.
      const std::atomic<bool> stop = part < stops.size();
      while (trainer.run(stop) == TrainOutcome::kInterrupted && trainer.step() < stops[part]) {
      }
      losses = trainer.validation();
      weights.clear();
      model.for_each_parameter([&](const Parameter<float>& p) {
        weights.insert(weights.end(), p.value.begin(), p.value.end());
      });
    }
    return weights;
  }
  std::vector<ValidationLoss> losses;
};

TEST_F(TrainerTest, a_run_that_is_stopped_and_resumed_ends_with_the_straight_runs_bits) {
  const std::vector<float> straight = train("straight", {});
  EXPECT_EQ(straight, train("resumed", {1, 5, 6}));
  EXPECT_EQ(straight, train("straight_again", {}));
}

TEST_F(TrainerTest, adamw_and_the_sign_update_resume_too) {
  config.optimizer.method = "adamw";
  config.balance.method = "sign";
  EXPECT_EQ(train("straight", {}), train("resumed", {4}));
}

TEST_F(TrainerTest, every_form_and_every_balance_resumes) {
  shape.routing = {.method = "threshold", .min_experts = 1, .max_experts = 3};
  shape.ngram_memory = {.layers = {1}, .max_order = 3, .heads = 2, .rows = 50, .head_dim = 4};
  EXPECT_EQ(train("threshold", {}), train("threshold_resumed", {1, 5}));
  shape.routing = {.method = "identity", .mean_experts = 1.5, .identity_experts = 2};
  EXPECT_EQ(train("identity", {}), train("identity_resumed", {1, 5}));
  shape.routing = {};
  for (const char* method : {"sequence", "auxiliary", "sign"}) {
    config.balance.method = method;
    config.balance.alpha = 1e-2;
    EXPECT_EQ(train(method, {}), train(std::string(method) + "_resumed", {4})) << method;
  }
}

TEST_F(TrainerTest, a_balance_loss_without_weight_and_memory_without_layers_change_nothing) {
  const std::vector<float> plain = train("plain", {});
  shape.ngram_memory.rows = 99;
  config.balance.speed = 0.5;  // of a method that is not used
  EXPECT_EQ(train("again", {}), plain);
}

TEST_F(TrainerTest, the_log_tells_loads_per_layer_and_over_all_steps) {
  shape.routing.method = "threshold";
  config.balance.alpha = 1e-3;
  train("run", {});
  int trained = 0, validated = 0;
  for (const Json& line : read_run_log(root / "run" / "log.jsonl")) {
    trained += line["kind"] == "train";
    validated += line["kind"] == "routing";
    if (line["kind"] != "train" && line["kind"] != "routing") continue;
    const auto layers = line["max_vio_layers"].get<std::vector<double>>();
    ASSERT_EQ(layers.size(), 2u);  // the second layer's and the module's
    EXPECT_EQ(line["max_vio_global"].get<double>(), std::max(layers[0], layers[1]));
    EXPECT_GT(line["mean_experts"].get<double>(), 1);
    EXPECT_LT(line["mean_experts"].get<double>(), 3);
    EXPECT_GT(line.value("balance_loss", 1.0), 1e-3);
  }
  EXPECT_EQ(trained, 6);
  EXPECT_EQ(validated, 2);
}

TEST_F(TrainerTest, one_thread_and_many_train_to_the_same_bits) {
  set_thread_count(1);
  const std::vector<float> one = train("one", {});
  set_thread_count(3);
  EXPECT_EQ(one, train("three", {}));
}

TEST_F(TrainerTest, modules_alone_leave_every_other_weight_as_it_is) {
  config.learn = "modules";
  config.balance.method = "sign";
  const auto check = [&](const std::string& form) {
    Model<float> fresh(shape);
    fresh.initialize(config.seed);
    const std::vector<float> trained = train(form, {});
    size_t at = 0;
    fresh.for_each_parameter([&](const Parameter<float>& p) {
      const bool same = std::equal(p.value.begin(), p.value.end(), trained.begin() + long(at));
      EXPECT_EQ(same, !p.name.starts_with("model.layers.2.")) << form << " " << p.name;
      at += p.value.size();
    });
    EXPECT_EQ(trained, train(form + "_resumed", {4})) << form;
  };
  check("topk");
  config.balance = {.alpha = 1e-3};
  shape.routing = {.method = "threshold", .min_experts = 1, .max_experts = 3};
  shape.ngram_memory = {.layers = {1}, .max_order = 3, .heads = 2, .rows = 50, .head_dim = 4};
  check("threshold");
  for (const Json& line : read_run_log(root / "threshold" / "log.jsonl")) {
    if (line["kind"] != "train") continue;
    EXPECT_LT(line["balance_loss"].get<double>(), 1.5e-3);  // one router's
  }
}

TEST_F(TrainerTest, every_precision_resumes_to_the_same_bits_on_any_number_of_threads) {
  shape.hidden_size = shape.intermediate_size = shape.moe_intermediate_size = 32;
  shape.v_head_dim = 16;
  shape.routing = {.method = "threshold", .min_experts = 0, .max_experts = 3};
  shape.ngram_memory = {.layers = {0}, .max_order = 3, .heads = 2, .rows = 50, .head_dim = 4};
  config.steps = 6;
  config.save_every = 2;
  for (const char* precision : {"bf16", "fp8", "nvfp4", "mxfp4", "int8", "mix"}) {
    config.precision = precision;
    set_thread_count(2);
    const std::vector<float> straight = train(fmt::format("{}-straight", precision), {});
    set_thread_count(3);
    EXPECT_EQ(straight, train(fmt::format("{}-resumed", precision), {3, 4})) << precision;
  }
}

TEST_F(TrainerTest, a_run_in_fewer_bits_learns_and_says_what_it_saves) {
  config.precision = "fp8";
  config.steps = 1;
  train("short", {});
  const double before = losses.at(0).nats_per_token;
  config.steps = 80;
  train("long", {});
  EXPECT_LT(losses.at(0).nats_per_token, before - 0.5);
  int told = 0;
  for (const Json& line : read_run_log(root / "long" / "log.jsonl")) {
    if (line["kind"] != "memory") continue;
    ++told;
    EXPECT_EQ(line["precision"], "fp8");
    EXPECT_LT(line["activation_bytes"], line["activation_bytes_f32"]);
    EXPECT_EQ(line["moment_bytes"].get<int64_t>() * 2, line["moment_bytes_f32"].get<int64_t>());
  }
  EXPECT_EQ(told, 1);
}

TEST_F(TrainerTest, an_unknown_precision_is_refused_and_another_one_does_not_resume_a_run) {
  config.precision = "fp4";
  try {
    config.validate("recipe [pretrain]", shape);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Exit::kUsage);
    EXPECT_NE(std::string(e.what()).find("recipe [pretrain]: precision = 'fp4': known are f32"),
              std::string::npos)
        << e.what();
  }
  config.precision = "f32";
  train("run", {});
  config.precision = "fp8";
  EXPECT_THROW(train("run", {}), Error);
}

TEST_F(TrainerTest, training_lowers_the_validation_loss) {
  config.steps = 1;
  train("short", {});
  const double before = losses.at(0).nats_per_token;
  config.steps = 80;
  train("long", {});
  EXPECT_LT(losses.at(0).nats_per_token, before - 0.5);
  EXPECT_GT(losses.at(0).bits_per_byte, 0);
}

TEST_F(TrainerTest, micro_batches_add_up_to_the_whole_batch) {
  config.balance.method = "none";
  config.steps = 1;
  config.optimizer.method = "adamw";
  const std::vector<float> halves = train("halves", {});
  config.micro_batch = 4;
  const std::vector<float> whole = train("whole", {});
  for (size_t i = 0; i < whole.size(); ++i) ASSERT_NEAR(halves[i], whole[i], 1e-4);
}

TEST_F(TrainerTest, other_settings_do_not_resume_a_run) {
  train("run", {});
  config.schedule.lr = 2e-2;
  try {
    train("run", {});
    FAIL() << "resumed";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Exit::kUsage);
    EXPECT_NE(std::string(e.what()).find("other settings"), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("schedule.lr = "), std::string::npos) << e.what();
  }
}

TEST_F(TrainerTest, how_often_a_run_logs_validates_and_saves_may_change_on_the_way) {
  config.save_every = 4;
  config.keep_checkpoints = 10;
  const std::vector<float> straight = train("run", {});
  for (const auto& entry : fs::directory_iterator(root / "run"))
    if (entry.is_directory() && entry.path().filename() > "step-0000004")
      fs::remove_all(entry.path());
  config.save_every = 3;
  config.log_every = config.validate_every = 1;
  config.keep_checkpoints = 1;
  EXPECT_EQ(train("run", {}), straight);
}

TEST_F(TrainerTest, the_log_tells_each_step_once_after_a_resume) {
  train("run", {3, 7});
  std::vector<int64_t> steps;
  for (const Json& line : read_run_log(root / "run" / "log.jsonl"))
    if (line["kind"] == "train") steps.push_back(line["step"].get<int64_t>());
  EXPECT_EQ(steps, (std::vector<int64_t>{2, 4, 6, 8, 10, 12}));
}

}  // namespace
}  // namespace shenhong
