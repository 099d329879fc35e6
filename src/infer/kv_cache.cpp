#include "infer/kv_cache.h"

#include "core/error.h"
#include "model/cost.h"

namespace shenhong {

KvCache::KvCache(const ModelConfig& config)
    : capacity_(config.max_position_embeddings),
      row_size_(config.kv_lora_rank + config.qk_rope_head_dim),
      values_(int64_t(config.num_hidden_layers) * capacity_ * row_size_) {}

void KvCache::remember(std::span<const int> next) {
  tokens_.resize(size_t(size_));
  tokens_.insert(tokens_.end(), next.begin(), next.end());
}

void KvCache::extend(int tokens) {
  SH_ASSERT(tokens >= 0 && tokens <= capacity_ - size_);
  size_ += tokens;
}

void KvCache::truncate(int tokens) {
  SH_ASSERT(tokens >= 0 && tokens <= size_);
  size_ = tokens;
}

int64_t kv_bytes_per_token(const ModelConfig& config) {
  return int64_t(sizeof(float)) * cost_of(config).kv_numbers_per_token;
}

int64_t mha_kv_bytes_per_token(const ModelConfig& config) {
  return int64_t(sizeof(float)) * cost_of(config).mha_kv_numbers_per_token;
}

}  // namespace shenhong
