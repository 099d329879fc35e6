// Stretches of a sequence that weigh more than the rest in the loss.
#pragma once

#include "model/model.h"

namespace shenhong {

// The tokens from one `begin` to the next `end`, both included: the query of a look-up, the one
// part of an answer that decides what is right and by far its shortest.
struct Emphasis {
  int begin = -1, end = -1;
  double weight = 1;  // the rest weighs 1
};

// Fills batch.weights, for targets of sequences that start outside of a stretch.
void emphasize(const Emphasis& emphasis, Batch& batch);

}  // namespace shenhong
