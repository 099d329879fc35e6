#include "infer/page_pool.h"

#include <algorithm>
#include <new>
#include <utility>

#include "core/error.h"
#include "model/cost.h"

namespace shenhong {

PagePool::PagePool(const ModelConfig& config, int64_t bytes, bool drafts)
    : layers_(config.num_hidden_layers + int(drafts)),
      row_size_(kv_row_size(config)),
      stream_size_(drafts ? config.hidden_size : 0) {
  const int64_t page_bytes = kv_bytes_per_token(config, drafts) * kPageTokens;
  const int64_t pages = bytes / page_bytes;
  SH_CHECK(pages >= 1, kUsage,
           "a cache of {} bytes: a page of {} tokens of this model takes {}; give it more", bytes,
           kPageTokens, page_bytes);
  SH_CHECK(pages <= INT32_MAX, kUsage, "a cache of {} bytes has more pages than can be counted",
           bytes);
  try {
    values_.resize(pages * page_bytes / int64_t(sizeof(float)));
  } catch (const std::bad_alloc&) {
    fail(Exit::kResources, "a cache of {} bytes: there is not so much memory; take a smaller one",
         bytes);
  }
  info_.resize(size_t(pages));
  for (int page = int(pages) - 1; page >= 0; --page) free_.push_back(page);
}

size_t PagePool::Hash::operator()(const Prefix& prefix) const {
  uint64_t hash = prefix.before;
  for (const int token : prefix.tokens) {
    hash = (hash ^ uint64_t(uint32_t(token))) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 29;
  }
  return hash;
}

PagePool::Prefix PagePool::prefix_of(std::optional<int> before, std::span<const int> tokens) const {
  SH_ASSERT(tokens.size() == size_t(kPageTokens));
  SH_ASSERT(!before || info_[size_t(*before)].number != 0);
  Prefix prefix;
  if (before) prefix.before = info_[size_t(*before)].number;
  std::ranges::copy(tokens, prefix.tokens.begin());
  return prefix;
}

void PagePool::use(int page) {
  Info& info = info_[size_t(page)];
  if (info.users++ == 0 && info.number != 0) unused_.erase(info.unused);
}

std::optional<int> PagePool::take() {
  int page;
  if (!free_.empty()) {
    page = free_.back();
    free_.pop_back();
  } else if (!unused_.empty()) {
    page = unused_.front();
    unused_.pop_front();
    published_.erase(info_[size_t(page)].prefix);
    info_[size_t(page)].number = 0;
  } else {
    return {};
  }
  SH_ASSERT(info_[size_t(page)].users == 0);
  use(page);
  return page;
}

void PagePool::release(int page) {
  Info& info = info_[size_t(page)];
  SH_ASSERT(info.users > 0);
  if (--info.users > 0) return;
  if (info.number != 0)
    info.unused = unused_.insert(unused_.end(), page);
  else
    free_.push_back(page);
}

std::optional<int> PagePool::find(std::optional<int> before, std::span<const int> tokens) {
  const auto found = published_.find(prefix_of(before, tokens));
  if (found == published_.end()) return {};
  use(found->second);
  return found->second;
}

int PagePool::publish(int page, std::optional<int> before, std::span<const int> tokens) {
  Info& info = info_[size_t(page)];
  SH_ASSERT(info.users == 1 && info.number == 0);
  const Prefix prefix = prefix_of(before, tokens);
  const auto [entry, added] = published_.try_emplace(prefix, page);
  if (!added) {
    release(page);
    use(entry->second);
    return entry->second;
  }
  info.prefix = prefix;
  info.number = ++last_number_;
  return page;
}

int64_t cache_bytes(const ModelConfig& config, int64_t tokens, bool drafts) {
  return (tokens + kPageTokens - 1) / kPageTokens * kPageTokens *
         kv_bytes_per_token(config, drafts);
}

int64_t kv_bytes_per_token(const ModelConfig& config, bool drafts) {
  const int64_t module = config.kv_lora_rank + config.qk_rope_head_dim + config.hidden_size;
  return int64_t(sizeof(float)) * (cost_of(config).kv_numbers_per_token + (drafts ? module : 0));
}

int64_t mha_kv_bytes_per_token(const ModelConfig& config) {
  return int64_t(sizeof(float)) * cost_of(config).mha_kv_numbers_per_token;
}

}  // namespace shenhong
