#include "train/memory_need.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/memory.h"

namespace shenhong {
namespace {

TEST(MemoryNeed, this_machine_has_some) { EXPECT_GT(available_memory_bytes(), int64_t(16) << 20); }

TEST(MemoryNeed, grows_with_what_is_kept) {
  TrainConfig config;
  ModelConfig model;
  const MemoryNeed plain = memory_need(config, model);
  EXPECT_GT(plain.fixed, 4.0 * 3 * 5e6);  // default model: 5 M parameters
  EXPECT_DOUBLE_EQ(plain.bytes(3), plain.fixed + 3 * plain.per_sequence);
  const auto more = [&](auto&& change) {
    TrainConfig c = config;
    ModelConfig m = model;
    change(c, m);
    return memory_need(c, m);
  };
  EXPECT_GT(more([](auto& c, auto&) { c.optimizer.method = "adamw"; }).fixed, plain.fixed);
  EXPECT_GT(more([](auto& c, auto&) { c.seq_len *= 2; }).per_sequence, 1.99 * plain.per_sequence);
  EXPECT_GT(more([](auto&, auto& m) { m.num_nextn_predict_layers = 1; }).per_sequence,
            1.1 * plain.per_sequence);
  EXPECT_GT(more([](auto&, auto& m) { m.routing.method = "threshold"; }).per_sequence,
            plain.per_sequence);
  const auto identity = [](auto&, auto& m) {
    m.routing = {.method = "identity", .mean_experts = 1, .identity_experts = 8};
  };
  EXPECT_LT(more(identity).per_sequence, plain.per_sequence);
  EXPECT_GT(more(identity).fixed, plain.fixed);
  const MemoryNeed memory = more([](auto&, auto& m) { m.ngram_memory.layers = {1}; });
  EXPECT_GT(memory.fixed, plain.fixed + 4.0 * 3 * 8 * 8192 * 8);
  EXPECT_GT(memory.per_sequence, plain.per_sequence);
  const MemoryNeed bf16 = more([](auto& c, auto&) { c.precision = "bf16"; });
  EXPECT_LT(bf16.fixed, plain.fixed - 2.0 * 5e6);
  EXPECT_LT(bf16.per_sequence, plain.per_sequence);
  const auto modules = [&](const char* learn) {
    return more([&](auto& c, auto& m) { m.num_nextn_predict_layers = 1, c.learn = learn; });
  };
  EXPECT_LT(modules("modules").fixed, modules("all").fixed - 4.0 * 4e6);
  EXPECT_EQ(modules("modules").per_sequence, modules("all").per_sequence);
}

std::string refusal(const TrainConfig& config, int64_t available) {
  try {
    check_memory("recipe.toml [pretrain]", config, {}, available);
    return "";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Exit::kResources);
    return e.what();
  }
}

TEST(MemoryNeed, a_batch_that_cannot_fit_is_refused_with_one_that_does) {
  TrainConfig config;
  config.batch = 48;
  config.micro_batch = 24;
  const MemoryNeed need = memory_need(config, {});
  EXPECT_EQ(refusal(config, int64_t(need.bytes(24)) + 1), "");
  EXPECT_EQ(refusal(config, 0), "");  // unknown
  const std::string eight = refusal(config, int64_t(need.bytes(11)));
  EXPECT_NE(eight.find("recipe.toml [pretrain]: micro_batch = 24 of batch = 48 needs about "),
            std::string::npos)
      << eight;
  EXPECT_NE(eight.find("micro_batch = 8 fits"), std::string::npos) << eight;
  const std::string none = refusal(config, int64_t(need.bytes(1)) - 1);
  EXPECT_NE(none.find("one sequence alone needs"), std::string::npos) << none;
}

}  // namespace
}  // namespace shenhong
