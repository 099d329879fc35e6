#include "train/emphasis.h"

#include "core/error.h"

namespace shenhong {

void emphasize(const Emphasis& emphasis, Batch& batch) {
  SH_ASSERT(batch.B > 0 && batch.targets.size() % size_t(batch.B) == 0);
  const size_t length = batch.targets.size() / size_t(batch.B);
  batch.weights.assign(batch.targets.size(), 1.f);
  for (size_t start = 0; start < batch.targets.size(); start += length) {
    bool inside = false;
    for (size_t i = start; i < start + length; ++i) {
      if (batch.targets[i] == emphasis.begin) inside = true;
      if (inside) batch.weights[i] = float(emphasis.weight);
      if (batch.targets[i] == emphasis.end) inside = false;
    }
  }
}

}  // namespace shenhong
