// The training loop: draw a batch, forward, backward, guard, optimizer step, balance, log; validate
// and save on the way. A run that is killed at any moment and started again ends with the same
// bits.
//
// A run directory holds
//   step-NNNNNNN/   checkpoints (train/checkpoint)
//   log.jsonl       one line per logged step and per validation
//   plot.html       the run as curves
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/file.h"
#include "data/mixture.h"
#include "model/model.h"
#include "train/balance.h"
#include "train/checkpoint.h"
#include "train/emphasis.h"
#include "train/guard.h"
#include "train/optimizer.h"
#include "train/schedule.h"

namespace shenhong {

struct TrainConfig {
  int steps = 1000;
  int batch = 16;        // sequences per step
  int micro_batch = 16;  // sequences whose activations exist at one time; divides batch
  int seq_len = 256;
  double mtp_weight = 0.1;
  double query_weight = 1;
  std::string learn = "all";
  int log_every = 10, validate_every = 200, save_every = 200;
  int keep_checkpoints = 2;
  int validation_windows = 64;
  uint64_t seed = 1;
  std::string precision = "f32";
  ScheduleConfig schedule;
  OptimizerConfig optimizer;
  BalanceConfig balance;
  GuardConfig guard;

  template <class Visit>
  void fields(Visit&& v) {
    v("steps", steps, "optimizer steps of the run");
    v("batch", batch, "sequences per step");
    v("micro_batch", micro_batch, "sequences whose activations exist at one time; divides batch");
    v("seq_len", seq_len, "tokens per sequence");
    v("mtp_weight", mtp_weight, "weight of the multi-token-prediction losses (V3: 0.3, then 0.1)");
    v("query_weight", query_weight,
      "weight in the loss of a look-up's query, whom and what is asked; the rest weighs 1");
    v("learn", learn,
      "all, or modules: the prediction modules alone, above weights that stay as they are");
    v("log_every", log_every, "steps between log lines");
    v("validate_every", validate_every, "steps between validations; the end validates anyway");
    v("save_every", save_every, "steps between checkpoints; the end saves anyway");
    v("keep_checkpoints", keep_checkpoints, "checkpoints that stay");
    v("validation_windows", validation_windows, "windows per source of a validation");
    v("seed", seed, "of the weights and of the order of the data");
    v("precision", precision,
      "arithmetic of the linear layers: f32, bf16, fp8, nvfp4, mxfp4, int8, or mix, which trains "
      "for that format of `quantize`");
    v("schedule", schedule, "learning rate");
    v("optimizer", optimizer, "AdamW or Muon");
    v("balance", balance, "load balance of the experts");
    v("guard", guard, "what counts as a spike");
  }

  // Error(kUsage) when a value is out of range or does not fit the model.
  void validate(const std::string& where, const ModelConfig& model) const;
};

struct ValidationLoss {
  std::string source;
  double nats_per_token = 0, bits_per_byte = 0;
  int64_t tokens = 0;
};

// Main-head loss over the first `windows` windows of each source, which are `mtp_depth` + 1 tokens
// longer than what `evaluate` scores of each.
std::vector<ValidationLoss> validation_loss(const std::function<LossSums(const Batch&)>& evaluate,
                                            int mtp_depth, const std::vector<Windows>& sources,
                                            int64_t windows);

// What the routers did over many batches: per layer the load of each expert, and the tokens.
struct RoutedTokens {
  std::vector<std::vector<int64_t>> load;  // [layers][E]
  std::vector<int64_t> tokens;             // [layers]

  void add(const Balancer::Routers& routers);
  // {"max_vio_global": worst layer, "max_vio_layers": each, "mean_experts": over all layers}
  Json to_json() const;
};

enum class TrainOutcome { kFinished, kInterrupted, kDiverged };

class Trainer {
 public:
  // `model` is fresh or holds the weights that this stage starts from; a checkpoint in `directory`
  // replaces them. `validation` windows are seq_len + 1 long, the mixture's seq_len + modules + 1.
  // `emphasis` is of training alone, not of validation.
  Trainer(const TrainConfig& config, Model<float>& model, Mixture mixture,
          std::vector<Windows> validation, fs::path directory, const Emphasis& emphasis = {});

  // Trains to the last step, or until `stop` becomes true: then the current step is finished, saved
  // and kInterrupted returned. Error(kUsage) when the checkpoint belongs to other settings.
  TrainOutcome run(const std::atomic<bool>& stop);

  int64_t step() const { return step_; }
  const std::vector<ValidationLoss>& validation() const { return validation_losses_; }
  // What resuming met on its way: broken checkpoints set aside, half-written ones removed.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  struct StepResult {
    double loss = 0, mtp_loss = 0, balance_loss = 0, gradient_norm = 0, lr = 0;
    std::string skipped;  // why, or empty
    bool diverged = false;
  };
  StepResult train_step();
  bool modules_alone() const { return config_.learn == "modules"; }
  // Of what is trained.
  std::vector<RouterStatistics<float>> routers();
  void fill(Batch& batch);
  Json memory_line();
  void validate();
  TensorGroups tensors();
  void save();
  void resume();

  TrainConfig config_;
  Emphasis emphasis_;
  Model<float>& model_;
  Mixture mixture_;
  std::vector<Windows> validation_;
  fs::path directory_;
  Optimizer optimizer_;
  Balancer balancer_;
  LossGuard guard_;
  int64_t step_ = 0;
  std::vector<double> max_vio_;  // of the last step, per layer
  RoutedTokens routed_;          // since the last log line
  std::vector<ValidationLoss> validation_losses_;
  std::vector<std::string> notes_;
};

}  // namespace shenhong
