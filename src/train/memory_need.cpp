#include "train/memory_need.h"

#include <algorithm>

#include "core/parallel.h"
#include "model/cost.h"
#include "model/ngram_memory.h"

namespace shenhong {
namespace {

constexpr double kNumber = 4;          // bytes of a float or an int
constexpr double kSpare = 1.05;        // of all: allocator, page tables
constexpr double kProgram = 48 << 20;  // code, shards' headers, panels of products
constexpr int kLossRows = 512;         // positions whose logits exist at one time (model/model)

// Numbers per token that a block keeps for its backward pass, and those that come and go.
struct PerToken {
  double kept = 0, passing = 0;
};

double experts_per_token(const ModelConfig& c) {
  return std::min<double>(c.experts_vary() ? 1.25 * c.mean_experts() : c.num_experts_per_tok,
                          c.max_experts());
}

PerToken attention(const ModelConfig& c) {
  const double H = c.num_attention_heads, q = H * c.qk_head_dim(),
               kv = H * (c.qk_nope_head_dim + c.v_head_dim), o = H * c.v_head_dim;
  const double latent = 2.0 * c.kv_lora_rank + c.qk_rope_head_dim, queries = 2.0 * c.q_lora_rank;
  return {.kept = q + kv + o + latent + queries,
          .passing = q + kv + o + latent + queries + H * c.qk_rope_head_dim};
}

PerToken experts(const ModelConfig& c) {
  const double D = c.hidden_size, F = c.moe_intermediate_size, S = experts_per_token(c),
               shared = c.n_shared_experts * F, E = c.n_routed_experts, R = c.router_experts();
  // Each thread gathers the rows of one expert at a time; loads may be twice the mean.
  const double gathered = std::min(1.0, 2.0 * thread_count() / E) * S * (2 * D + 2 * F);
  return {.kept = 2 * S * F + 2 * shared + R + 2 * S + 3.0 * c.max_experts(),
          .passing = S * D + std::max(gathered + R, shared)};
}

PerToken block(const ModelConfig& c, bool is_moe) {
  const PerToken attend = attention(c);
  const double F = c.intermediate_size, D = c.hidden_size;
  const PerToken feed = is_moe ? experts(c) : PerToken{.kept = 2 * F, .passing = F};
  // The block's input and middle; the norm's output and its gradient.
  return {.kept = 2 * D + attend.kept + feed.kept,
          .passing = 2 * D + std::max(attend.passing, feed.passing)};
}

// Numbers of the optimizer's state: Muon has one per weight, AdamW two, as have embedding, head and
// tables under Muon.
double moments(const TrainConfig& config, const ModelConfig& c) {
  double weights = double(cost_of(c).parameters_total);
  if (config.learn == "modules") {
    ModelConfig trunk = c;
    trunk.num_nextn_predict_layers = 0;
    weights -= double(cost_of(trunk).parameters_total);
  }
  if (config.optimizer.method != "muon") return 2 * weights;
  if (config.learn == "modules") return weights;
  double looked_up = double(c.vocab_size) * c.hidden_size * (c.tie_word_embeddings ? 1 : 2);
  for (const int l : c.ngram_memory.layers)
    looked_up += double(NgramHash(c, l).total_rows()) * c.ngram_memory.head_dim;
  return weights + looked_up;
}

}  // namespace

MemoryNeed memory_need(const TrainConfig& config, const ModelConfig& c) {
  const double D = c.hidden_size, V = c.vocab_size, T = config.seq_len,
               P = c.num_nextn_predict_layers;
  const double parameters = double(cost_of(c).parameters_total);
  const bool few_bits = has_bf16_moments(precision_named(config.precision, "recipe"));

  double kept = 2 * D, passing = 3 * D;  // the trunk's output and dh; norm and gradient of the loss
  double widest = 0;                     // what one block keeps
  for (int l = 0; l < c.num_hidden_layers; ++l) {
    const PerToken b = block(c, c.is_moe(l));
    kept += b.kept;
    widest = std::max(widest, b.kept);
    passing = std::max(passing, b.passing);
  }
  if (P > 0) {
    const PerToken b = block(c, true);
    kept += P * (b.kept + 5 * D);  // embedding, pair, output, dh
    widest = std::max(widest, b.kept + 5 * D);
    passing = std::max(passing, b.passing + 5 * D);
  }
  // In few bits a number waits in 16 at most, and is a float while its block is at work.
  if (few_bits) kept = kept / 2 + widest;
  if (c.ngram_memory.on()) {
    const double M = c.ngram_memory.width();
    kept += double(c.ngram_memory.layers.size()) * (3 * D + M + M / c.ngram_memory.head_dim);
    passing = std::max(passing, 6 * D + M);
  }
  MemoryNeed need;
  need.fixed = kProgram + kSpare * kNumber *
                              (2 * parameters + moments(config, c) / (few_bits ? 2 : 1) +
                               kLossRows * V + 2.0 * config.batch * (T + P));
  need.per_sequence = kSpare * kNumber * T * (kept + passing);
  return need;
}

void check_memory(const std::string& where, const TrainConfig& config, const ModelConfig& model,
                  int64_t available) {
  const MemoryNeed need = memory_need(config, model);
  const double have = double(available);
  if (available == 0 || need.bytes(config.micro_batch) <= have) return;
  int fits = 0;
  for (int micro_batch = 1; micro_batch < config.micro_batch; ++micro_batch)
    if (config.batch % micro_batch == 0 && need.bytes(micro_batch) <= have) fits = micro_batch;
  const auto gib = [](double bytes) { return fmt::format("{:.2f} GiB", bytes / (1 << 30)); };
  const std::string wants = fmt::format(
      "{}: micro_batch = {} of batch = {} needs about {} of memory, and {} are free", where,
      config.micro_batch, config.batch, gib(need.bytes(config.micro_batch)), gib(have));
  if (fits > 0)
    fail(Exit::kResources, "{}; micro_batch = {} fits and needs {}", wants, fits,
         gib(need.bytes(fits)));
  fail(Exit::kResources,
       "{}; one sequence alone needs {}: want a smaller batch, seq_len or [model]", wants,
       gib(need.bytes(1)));
}

}  // namespace shenhong
