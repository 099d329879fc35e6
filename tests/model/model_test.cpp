#include "model/model.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include "core/parallel.h"
#include "gradient.h"
#include "toy.h"

namespace shenhong {
namespace {

struct Case {
  const char* name;
  std::function<void(ModelConfig&)> change;
};

const Case kCases[] = {
    {"plain", [](ModelConfig&) {}},
    {"compressed_queries", [](ModelConfig& c) { c.q_lora_rank = 5; }},
    {"yarn",
     [](ModelConfig& c) {
       c.rope_scaling.factor = 4;
       c.rope_scaling.original_max_position_embeddings = 8;
     }},
    {"softmax_scores_not_normalised",
     [](ModelConfig& c) {
       c.scoring_func = "softmax";
       c.norm_topk_prob = false;
     }},
    {"softmax_scores_normalised", [](ModelConfig& c) { c.scoring_func = "softmax"; }},
    {"groups",
     [](ModelConfig& c) {
       c.n_group = 3;
       c.topk_group = 2;
     }},
    {"no_shared_expert", [](ModelConfig& c) { c.n_shared_experts = 0; }},
    {"two_shared_experts", [](ModelConfig& c) { c.n_shared_experts = 2; }},
    {"tied_head", [](ModelConfig& c) { c.tie_word_embeddings = true; }},
    {"all_layers_experts", [](ModelConfig& c) { c.first_k_dense_replace = 0; }},
    {"mtp_depth_2", [](ModelConfig& c) { c.num_nextn_predict_layers = 2; }},
    {"threshold",
     [](ModelConfig& c) {
       c.routing = {.method = "threshold", .min_experts = 0, .max_experts = 4};
     }},
    {"threshold_not_normalised",
     [](ModelConfig& c) {
       c.routing = {.method = "threshold"};
       c.norm_topk_prob = false;
     }},
    {"threshold_softmax",
     [](ModelConfig& c) {
       c.routing = {.method = "threshold"};
       c.scoring_func = "softmax";
     }},
    {"identity",
     [](ModelConfig& c) {
       c.num_experts_per_tok = 3;
       c.routing = {.method = "identity", .mean_experts = 1.5, .identity_experts = 3};
     }},
    {"identity_not_normalised",
     [](ModelConfig& c) {
       c.routing = {.method = "identity", .mean_experts = 1.5, .identity_experts = 2};
       c.norm_topk_prob = false;
     }},
    {"identity_softmax",
     [](ModelConfig& c) {
       c.routing = {.method = "identity", .mean_experts = 1.5, .identity_experts = 2};
       c.scoring_func = "softmax";
     }},
    {"ngram_memory",
     [](ModelConfig& c) {
       c.ngram_memory = {{0, 1}, 3, 2, 11, 3};
     }},
    {"no_mtp", [](ModelConfig& c) { c.num_nextn_predict_layers = 0; }},
};

class Gradients : public testing::TestWithParam<Case> {};

// A12: every parameter of every variant, by central differences in double.
TEST_P(Gradients, agree_with_central_differences) {
  set_thread_count(
      1);  // thousands of tiny passes: handing them to threads would cost more than they do
  ModelConfig config = toy_config();
  GetParam().change(config);
  Model<double> model(config);
  model.initialize(3);
  disturb(model);
  const Batch batch = toy_batch(config, 2, 9);
  const double main_weight = 0.07, mtp_weight = 0.02;
  model.allocate_gradients();
  model.forward_backward(batch, main_weight, mtp_weight);
  const auto loss = [&] {
    const LossSums sums = model.evaluate(batch);
    double total = main_weight * sums.nats[0];
    for (size_t p = 1; p < sums.nats.size(); ++p) total += mtp_weight * sums.nats[p];
    return total;
  };
  model.for_each_parameter([&](Parameter<double>& p) {
    if (p.name.ends_with("e_score_correction_bias")) {
      for (const double g : p.grad) EXPECT_EQ(g, 0) << "the bias takes no gradient";
      return;
    }
    // An expert that no token chose has no gradient; central differences agree trivially.
    if (p.name.find(".experts.") != p.name.npos &&
        std::all_of(p.grad.begin(), p.grad.end(), [](double g) { return g == 0; }))
      return;
    expect_gradient(p.name, p.value, p.grad, loss, 8);
  });
}

// The balance losses, at weights that make them matter, by the gate alone: their gradient reaches
// everything else through the stream.
TEST(Model, gradients_of_the_balance_losses_agree_with_central_differences) {
  set_thread_count(1);
  for (const char* score : {"sigmoid", "softmax"})
    for (const bool sequence : {true, false}) {
      ModelConfig config = toy_config();
      config.scoring_func = score;
      Model<double> model(config);
      model.initialize(3);
      disturb(model);
      const Batch batch = toy_batch(config, 3, 9);
      model.set_balance_loss({.weight = 0.3, .scope = sequence ? 9 : 0});
      model.allocate_gradients();
      model.forward_backward(batch, 0.07, 0.02);
      const auto loss = [&] {
        const LossSums sums = model.evaluate(batch);
        return 0.07 * sums.nats[0] + 0.02 * sums.nats[1] + model.balance_loss();
      };
      const Buffer<double> with = model.layers[1].moe->router.gate.grad;
      for (Parameter<double>* p :
           {&model.layers[1].moe->router.gate, &model.mtp[0].block.moe->router.gate,
            &model.layers[0].self_attn.o_proj, &model.embed_tokens})
        expect_gradient(p->name, p->value, p->grad, loss);
      model.set_balance_loss({});
      model.zero_gradients();
      model.forward_backward(batch, 0.07, 0.02);
      EXPECT_NE(with[0], model.layers[1].moe->router.gate.grad[0]);
    }
}

INSTANTIATE_TEST_SUITE_P(Variants, Gradients, testing::ValuesIn(kCases),
                         [](const auto& param) { return param.param.name; });

TEST(Model, a_planted_fault_in_a_gradient_is_noticed) {
  ModelConfig config = toy_config();
  Model<double> model(config);
  model.initialize(3);
  const Batch batch = toy_batch(config, 1, 5);
  model.allocate_gradients();
  model.forward_backward(batch, 1, 0);
  Parameter<double>& p = model.layers[0].self_attn.o_proj;
  for (double& g : p.grad) g *= 1 + 1e-5;
  const auto loss = [&] { return model.evaluate(batch).nats[0]; };
  testing::TestPartResultArray failures;
  {
    testing::ScopedFakeTestPartResultReporter capture(
        testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
    expect_gradient(p.name, p.value, p.grad, loss, 8);
  }
  EXPECT_GT(failures.size(), 0);
}

TEST(Model, forward_backward_reports_the_loss_of_evaluate) {
  ModelConfig config = toy_config();
  Model<float> model(config);
  model.initialize(4);
  model.allocate_gradients();
  const Batch batch = toy_batch(config, 2, 9);
  const LossSums a = model.evaluate(batch), b = model.forward_backward(batch, 1, 1);
  EXPECT_EQ(a.nats, b.nats);
  EXPECT_EQ(a.counts, b.counts);
}

TEST_P(Gradients, a_position_sees_nothing_after_itself) {
  ModelConfig config = toy_config();
  GetParam().change(config);
  config.num_nextn_predict_layers = 0;
  Model<float> model(config);
  model.initialize(4);
  Batch batch = toy_batch(config, 1, 9);
  Buffer<float> before, after;
  model.logits(batch, 0, before);
  batch.tokens[6] = (batch.tokens[6] + 1) % config.vocab_size;
  model.logits(batch, 0, after);
  const int V = config.vocab_size;
  // Experts' products over fewer rows round otherwise.
  for (int i = 0; i < 6 * V; ++i) EXPECT_NEAR(before[i], after[i], 1e-5);
  EXPECT_FALSE(std::equal(before.begin() + 6 * V, before.end(), after.begin() + 6 * V));
}

TEST(Model, one_thread_and_many_give_the_same_bits) {
  ModelConfig config = toy_config();
  config.q_lora_rank = 5;
  const Batch batch = toy_batch(config, 3, 20);
  std::vector<std::vector<float>> gradients;
  for (const int threads : {1, 2, 5}) {
    set_thread_count(threads);
    Model<float> model(config);
    model.initialize(4);
    model.allocate_gradients();
    model.forward_backward(batch, 0.1, 0.03);
    gradients.emplace_back();
    model.for_each_parameter([&](Parameter<float>& p) {
      gradients.back().insert(gradients.back().end(), p.grad.begin(), p.grad.end());
    });
  }
  EXPECT_EQ(gradients[0], gradients[1]);
  EXPECT_EQ(gradients[0], gradients[2]);
}

TEST(Model, ignored_targets_change_neither_loss_nor_gradient) {
  ModelConfig config = toy_config();
  Model<float> model(config);
  model.initialize(4);
  model.allocate_gradients();
  Batch batch = toy_batch(config, 1, 6);
  for (int& target : batch.targets) target = Batch::kIgnore;
  const LossSums sums = model.forward_backward(batch, 1, 1);
  EXPECT_EQ(sums.nats[0], 0);
  EXPECT_EQ(sums.counts[0], 0);
  model.for_each_parameter([&](Parameter<float>& p) {
    for (const float g : p.grad) EXPECT_EQ(g, 0) << p.name;
  });
}

// Weights are small integers, so the sums over single targets say exactly what the whole should be.
TEST(Model, a_weighted_loss_is_the_sum_of_its_targets_each_as_often_as_it_weighs) {
  const ModelConfig config = toy_config();
  Model<double> model(config);
  model.initialize(3);
  model.allocate_gradients();
  Batch batch = toy_batch(config, 2, 5);
  for (size_t i = 0; i < batch.targets.size(); ++i) batch.weights.push_back(float(i % 3));
  const auto gradients = [&](const Batch& b) {
    std::vector<double> all{model.forward_backward(b, 0.1, 0.03).nats[0]};
    model.for_each_parameter(
        [&](Parameter<double>& p) { all.insert(all.end(), p.grad.begin(), p.grad.end()); });
    model.zero_gradients();
    return all;
  };
  const std::vector<double> weighted = gradients(batch);
  std::vector<double> sum(weighted.size(), 0);
  for (size_t i = 0; i < batch.targets.size(); ++i) {
    Batch single = batch;
    single.weights.clear();
    for (size_t j = 0; j < batch.targets.size(); ++j)
      if (j != i) single.targets[j] = Batch::kIgnore;
    const std::vector<double> one = gradients(single);
    for (size_t k = 0; k < sum.size(); ++k) sum[k] += double(batch.weights[i]) * one[k];
  }
  for (size_t k = 0; k < sum.size(); ++k)
    ASSERT_NEAR(weighted[k], sum[k], 1e-12 + 1e-9 * std::abs(sum[k])) << k;
}

TEST(Model, modules_alone_get_the_gradients_that_they_get_beside_the_trunk) {
  ModelConfig config = toy_config();
  config.num_nextn_predict_layers = 2;
  Model<double> model(config);
  model.initialize(3);
  model.allocate_gradients();
  const Batch batch = toy_batch(config, 2, 9);
  const auto gradients = [&] {
    std::vector<double> all;
    for (Mtp<double>& module : model.mtp)
      Mtp<double>::for_each_parameter(module, [&](Parameter<double>& p) {
        all.insert(all.end(), p.grad.begin(), p.grad.end());
      });
    model.zero_gradients();
    return all;
  };
  const LossSums whole = model.forward_backward(batch, 0.1, 0.03);
  const std::vector<double> beside = gradients();
  const LossSums sums = model.forward_backward_modules(batch, 0.03);
  EXPECT_EQ(gradients(), beside);
  EXPECT_EQ(sums.nats, whole.nats);
}

}  // namespace
}  // namespace shenhong
