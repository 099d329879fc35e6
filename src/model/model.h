// The DeepSeek-V3 model: embedding, blocks, head, multi-token-prediction modules (V3 report, 2).
// forward and backward of each part stand in one file, the backward as the forward's mirror.
//
//   tokens ─ embed_tokens ─ Block × L ─ norm ─ lm_head ─ logits of token i+1
//                               └ Mtp 1 (+ embedding of token i+1) ─ norm ─ lm_head ─ token i+2 ...
//
// Real is float in use and double in the gradient tests. Every backward adds to gradients; the
// caller zeroes them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "model/block.h"
#include "model/config.h"
#include "model/mtp.h"
#include "model/ngram_memory.h"
#include "model/parameter.h"
#include "model/precision.h"
#include "model/rope.h"
#include "model/saved_activation.h"

namespace shenhong {

// B sequences of T positions. With P = num_nextn_predict_layers, both rows hold T + P entries:
//   tokens  [B, T+P]  the input at each position
//   targets [B, T+P]  the token that follows it, or kIgnore where nothing is to be learnt
// The main model reads tokens[:, :T] and is scored on targets[:, :T]; module p (from 1) also reads
// tokens[:, p : T+p] and is scored on targets[:, p : T+p].
struct Batch {
  static constexpr int kIgnore = -1;
  int B = 0, T = 0;
  std::vector<int> tokens, targets;
  std::vector<float> weights = {};  // [B, T+P] of each target in the loss; empty: 1
};

// Sums over scored positions, in nats, each times its weight; without weights, divide by the
// counts. Index 0 is the main model, p the p-th module.
struct LossSums {
  std::vector<double> nats;
  std::vector<int64_t> counts;
};

// What the router of one MoE layer did in a batch; the balancers in `train` read it.
template <class Real>
struct RouterStatistics {
  Parameter<Real>* bias;             // e_score_correction_bias [R]
  const std::vector<int64_t>* load;  // [E] tokens sent to each expert, summed since the last clear
  const Buffer<Real>* scores;        // [N, R] of the last forward pass
  const int64_t* tokens = nullptr;   // routed, summed since the last clear
};

template <class Real>
class Model {
 public:
  explicit Model(const ModelConfig& config);
  const ModelConfig& config() const { return config_; }

  // In a fixed order: embedding, layers, norm, head, modules. Biases of the router are included.
  void for_each_parameter(const std::function<void(Parameter<Real>&)>& visit);
  void for_each_parameter(const std::function<void(const Parameter<Real>&)>& visit) const;
  int64_t parameter_count() const;

  // N(0, initializer_range) for matrices, 1 for norms, 0 for router biases; depends on seed and
  // name alone.
  void initialize(uint64_t seed);
  // How products run and activations are kept from now on; the seed is that of stochastic rounding.
  // Error(kUsage) names a matrix that the formats of `mix` do not fit.
  void set_precision(Precision precision, uint64_t seed);
  // Tells the random numbers of one forward_backward from those of the others.
  void set_pass(uint64_t pass);
  // What the last forward pass left for the backward pass.
  const ActivationBytes& activation_bytes() const { return activation_bytes_; }

  void allocate_gradients();  // zeroed
  void zero_gradients();

  // Forward only.
  LossSums evaluate(const Batch& batch);
  // Forward and backward of  Σ main nats · main_weight + Σ_p Σ module nats · mtp_weight. Adds to
  // gradients.
  LossSums forward_backward(const Batch& batch, double main_weight, double mtp_weight);
  // The same of the modules alone, above a trunk that stays as it is: what is not a module's own
  // gets no gradient that means anything.
  LossSums forward_backward_modules(const Batch& batch, double mtp_weight);

  // logits [B, T, V] of the main model (depth 0) or of module `depth`; for tests and small inputs.
  void logits(const Batch& batch, int depth, Buffer<Real>& out);

  // Every router's loss joins the gradients of forward_backward, not the sums that it returns.
  void set_balance_loss(const BalanceLoss& loss);
  // Summed over the routers, for the last batch.
  double balance_loss();

  std::vector<RouterStatistics<Real>> routers();
  void clear_router_loads();

  // Parts, for the decoding engine and the tests.
  Parameter<Real> embed_tokens;
  std::vector<Block<Real>> layers;
  std::vector<std::optional<NgramMemory<Real>>> memories;  // before the layer, where there is one
  Parameter<Real> norm;
  Parameter<Real> lm_head;  // empty when tied
  std::vector<Mtp<Real>> mtp;
  const Parameter<Real>& head() const {
    return config_.tie_word_embeddings ? embed_tokens : lm_head;
  }
  const Rope<Real>& rope() const { return rope_; }

 private:
  template <class Visit>
  void for_each_router(Visit&& visit);
  void check(const Batch& batch) const;
  void embed(const Batch& batch, int shift, Real* out) const;
  void embed_backward(const Batch& batch, int shift, const Buffer<Real>& dx);
  void count_activations();
  void forward(const Batch& batch);
  // From the losses' gradients dh[0..P] down to the trunk's output, which adds up in dh[0].
  void modules_backward(const Batch& batch, std::vector<Buffer<Real>>& dh);
  // Output of depth p before its norm: the trunk's for 0, module p's otherwise. [N,D]
  SavedActivation<Real>& stream(int p) { return p == 0 ? x_.back() : h_[p - 1]; }
  NumberFormat kept_stream_of(const Block<Real>& block) const {
    return kept_stream(block.self_attn.o_proj);
  }
  // Appends the loss of one depth to `sums`. With dh, also runs the backward pass of
  // weight · nats through head and norm, adding to dh [N,D].
  void score(const Batch& batch, int depth, double weight, Real* dh, LossSums& sums);

  ModelConfig config_;
  Rope<Real> rope_;
  // The last forward pass, kept for the backward pass.
  // [L+1] of [N,D]: the input of each block (a memory's rows added), then the trunk's output
  std::vector<SavedActivation<Real>> x_;
  std::vector<SavedActivation<Real>> embedding_;  // [P] of [N,D]: of the tokens p places ahead
  std::vector<SavedActivation<Real>> h_;          // [P] of [N,D]: the modules' outputs
  Buffer<Real> logits_;
  ActivationBytes activation_bytes_;
  std::unique_ptr<Arithmetics> arithmetics_;
};

}  // namespace shenhong
