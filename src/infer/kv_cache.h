// What attention keeps of one sequence: per layer and token the latent after its norm and the
// rotary key after its rotation, side by side (V2 report, 2.1).
#pragma once

#include <span>
#include <vector>

#include "core/buffer.h"
#include "model/config.h"

namespace shenhong {

class KvCache {
 public:
  // Room for max_position_embeddings tokens. Pages are only taken from the system as rows are
  // written.
  explicit KvCache(const ModelConfig& config);

  int size() const { return size_; }
  int capacity() const { return capacity_; }
  int row_size() const { return row_size_; }

  // Layer's rows [capacity, Rkv + Dr]: latent, then rotary key. Rows from size() on are the
  // caller's to write before extend() makes them part of the sequence.
  float* rows(int layer) { return values_.data() + int64_t(layer) * capacity_ * row_size_; }
  const float* rows(int layer) const {
    return values_.data() + int64_t(layer) * capacity_ * row_size_;
  }

  // The sequence's tokens, [size + C] after `remember` was given the C that come next; kept only
  // for memories of n-grams.
  const std::vector<int>& tokens() const { return tokens_; }
  void remember(std::span<const int> next);

  void extend(int tokens);
  // Forgets all but the first `tokens`, of which there must be as many.
  void truncate(int tokens);

 private:
  int capacity_, row_size_, size_ = 0;
  Buffer<float> values_;
  std::vector<int> tokens_;
};

// Bytes that one more token takes, as we keep it, and what full per-head keys and values would
// take.
int64_t kv_bytes_per_token(const ModelConfig& config);
int64_t mha_kv_bytes_per_token(const ModelConfig& config);

}  // namespace shenhong
