// How much memory a training run takes at its peak, counted from the shapes before anything is
// allocated, so that a batch that cannot fit is refused with what would.
#pragma once

#include <cstdint>
#include <string>

#include "train/trainer.h"

namespace shenhong {

struct MemoryNeed {
  double fixed = 0;         // weights, gradients, moments, the batch's tokens, one chunk of logits
  double per_sequence = 0;  // activations of one sequence of the micro-batch

  double bytes(int micro_batch) const { return fixed + per_sequence * micro_batch; }
};

// Where the number of experts varies a token is taken to have a quarter more than the mean; what
// waits for the backward pass in fewer than 16 bits is counted with 16.
MemoryNeed memory_need(const TrainConfig& config, const ModelConfig& model);

// Error(kResources) that names batch, need, what there is and the largest micro_batch that would
// fit. `available` in bytes; 0 is unknown and fits everything.
void check_memory(const std::string& where, const TrainConfig& config, const ModelConfig& model,
                  int64_t available);

}  // namespace shenhong
