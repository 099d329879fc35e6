#include "model/cost.h"

#include <gtest/gtest.h>

#include "model/model.h"
#include "toy.h"

namespace shenhong {
namespace {

TEST(Cost, total_is_what_the_model_holds) {
  for (const int q_lora_rank : {0, 5})
    for (const bool tied : {false, true})
      for (const int mtp : {0, 1, 2}) {
        ModelConfig config = toy_config();
        config.q_lora_rank = q_lora_rank;
        config.tie_word_embeddings = tied;
        config.num_nextn_predict_layers = mtp;
        if (mtp == 1) config.ngram_memory = {{1}, 3, 2, 11, 3};
        if (mtp == 2)
          config.routing = {.method = "identity", .mean_experts = 1.5, .identity_experts = 3};
        EXPECT_EQ(cost_of(config).parameters_total, Model<float>(config).parameter_count());
      }
}

// Figures that DeepSeek publishes (V3 report, abstract): 671 B in all and 37 B active.
TEST(Cost, deepseek_v3_has_its_published_size) {
  ModelConfig v3;
  v3.vocab_size = 129280;
  v3.hidden_size = 7168;
  v3.num_hidden_layers = 61;
  v3.num_attention_heads = 128;
  v3.q_lora_rank = 1536;
  v3.kv_lora_rank = 512;
  v3.qk_nope_head_dim = 128;
  v3.qk_rope_head_dim = 64;
  v3.v_head_dim = 128;
  v3.intermediate_size = 18432;
  v3.first_k_dense_replace = 3;
  v3.n_routed_experts = 256;
  v3.num_experts_per_tok = 8;
  v3.moe_intermediate_size = 2048;
  const ModelCost cost = cost_of(v3);
  EXPECT_NEAR(double(cost.parameters_total) / 1e9, 671, 0.1);
  EXPECT_NEAR(double(cost.parameters_active) / 1e9, 37, 0.5);
  EXPECT_EQ(kv_row_size(v3), 576);
}

// The count that the PyTorch peer prints for its 'poet' model (peers note, 2): 111.6 MFLOP a token.
TEST(Cost, training_flop_is_the_peers_count) {
  ModelConfig poet;
  poet.vocab_size = 8192;
  poet.hidden_size = 384;
  poet.num_hidden_layers = 8;
  poet.num_attention_heads = 6;
  poet.kv_lora_rank = 128;
  poet.intermediate_size = 1024;
  poet.moe_intermediate_size = 256;
  poet.num_nextn_predict_layers = 1;
  EXPECT_NEAR(training_flop_per_token(poet, 256) / 1e6, 111.6, 0.2);
  EXPECT_NEAR(forward_flop_per_token(poet, 256) / 1e6, 27.7, 0.1);
}

}  // namespace
}  // namespace shenhong
