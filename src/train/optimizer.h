// AdamW, and Muon for the hidden matrices, over a model's parameters (techniques 2.5).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/json.h"
#include "model/parameter.h"
#include "train/moments.h"
#include "train/muon.h"

namespace shenhong {

struct OptimizerConfig {
  std::string method = "muon";
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  double weight_decay = 0.1;
  double clip = 1;
  double muon_momentum = 0.95;
  std::string newton_schulz = "jordan";
  int newton_schulz_steps = 5;

  template <class Visit>
  void fields(Visit&& v) {
    v("method", method, "what moves the hidden matrices: muon or adamw");
    v("beta1", beta1, "AdamW: decay of the mean gradient");
    v("beta2", beta2, "AdamW: decay of the mean squared gradient");
    v("eps", eps, "AdamW: added to the root of the mean square");
    v("weight_decay", weight_decay, "decoupled weight decay, of matrices only");
    v("clip", clip, "largest gradient norm; larger ones are scaled down to it");
    v("muon_momentum", muon_momentum, "Muon: Nesterov momentum");
    v("newton_schulz", newton_schulz, "Muon: iteration that orthogonalises, jordan or polar");
    v("newton_schulz_steps", newton_schulz_steps, "Muon: its steps");
  }

  // Error(kUsage) when a value is out of range.
  void validate(const std::string& where) const;
};

// Muon moves every matrix that maps hidden values to hidden values; embedding, head, router gate
// and vectors go to AdamW, with the same learning rate. Router biases belong to the balancer and
// are left alone. Tables with row-sparse gradients go to AdamW, too, but a row has its own clock: a
// step in which nobody read it leaves its weights, its moments and its count of updates as they
// are, nothing decays meanwhile, and the bias correction is by that count. Deterministic: the same
// bits on any number of threads.
class Optimizer {
 public:
  // The parameters outlive the optimizer; each has a gradient of its own size.
  Optimizer(const OptimizerConfig& config, const std::vector<Parameter<float>*>& parameters,
            bool bf16_moments = false);

  // Euclidean norm of all gradients that `step` would use, router biases not among them.
  double gradient_norm() const;
  // The factor that brings a norm down to `clip`, or 1.
  double clip_scale(double norm) const;

  // One update with gradient_scale · grad; weights are written, gradients left as they are.
  void step(double lr, double gradient_scale);

  // Moments under "<parameter>.exp_avg", ".exp_avg_sq" (AdamW), ".row_updates" beside them (of a
  // row-sparse table) and ".momentum_buffer" (Muon), in a fixed order, with the update count beside
  // them: all that a checkpoint must hold.
  void for_each_state(const std::function<void(const std::string& name, Moments& values)>& visit);
  Json to_json() const { return {{"updates", updates_}}; }
  // Error(kBadInput) on anything that to_json does not write.
  void from_json(const Json& json);

 private:
  struct Slot {
    Parameter<float>* parameter;
    Moments exp_avg, exp_avg_sq;
  };
  struct SparseSlot {
    Parameter<float>* parameter;
    Moments exp_avg, exp_avg_sq;
    Moments row_updates;  // [rows], floats: a bf16 ends counting at 256
  };
  struct MuonSlot {
    Parameter<float>* parameter;
    Moments momentum;
  };
  // A piece of an AdamW parameter: small ones are not worth a thread's wake-up each, large ones are
  // shared out.
  struct Chunk {
    int slot;
    int64_t begin, size;
  };
  void adamw(const Chunk& chunk, double lr, double gradient_scale);
  void sparse_adamw(SparseSlot& slot, double lr, double gradient_scale);
  void muon(MuonSlot& slot, double lr, double gradient_scale);

  OptimizerConfig config_;
  NewtonSchulz newton_schulz_;
  std::vector<Slot> adamw_;
  std::vector<SparseSlot> sparse_;
  std::vector<MuonSlot> muon_;  // costliest first, so that threads finish together
  std::vector<Chunk> chunks_;
  int64_t updates_ = 0;
};

}  // namespace shenhong
