#include "infer/page_pool.h"

#include <algorithm>
#include <new>
#include <utility>

#include "core/error.h"
#include "kernels/kernels.h"
#include "model/cost.h"

namespace shenhong {
namespace {

CacheRow row_of(const ModelConfig& config, CacheFormat format) {
  const int exact = config.grouped_query.on() ? kv_row_size(config) : config.qk_rope_head_dim;
  return {format, kv_row_size(config) - exact, exact};
}

}  // namespace

PagePool::PagePool(const ModelConfig& config, int64_t bytes, bool drafts, CacheFormat format)
    : layers_(config.num_hidden_layers + int(drafts)),
      stream_size_(drafts ? config.hidden_size : 0),
      row_(row_of(config, format)),
      token_bytes_(kv_bytes_per_token(config, drafts, format)) {
  SH_CHECK(can_keep(config, format), kUsage,
           "a cache in {}: this model keeps keys that carry their rotation, which {} would blur, "
           "and no latents; take f16 or f32",
           cache_format_name(format), cache_format_name(format));
  const int64_t page_bytes = token_bytes_ * kPageTokens;
  const int64_t pages = bytes / page_bytes;
  SH_CHECK(pages >= 1, kUsage,
           "a cache of {} bytes: a page of {} tokens of this model takes {}; give it more", bytes,
           kPageTokens, page_bytes);
  SH_CHECK(pages <= INT32_MAX, kUsage, "a cache of {} bytes has more pages than can be counted",
           bytes);
  try {
    bytes_.resize(pages * page_bytes);
  } catch (const std::bad_alloc&) {
    fail(Exit::kResources, "a cache of {} bytes: there is not so much memory; take a smaller one",
         bytes);
  }
  info_.resize(size_t(pages));
  for (int page = int(pages) - 1; page >= 0; --page) free_.push_back(page);
}

void PagePool::write(int page, int layer, int place, const float* numbers) {
  kernels<float>().write_cache_row(row_, numbers,
                                   bytes_.data() + offset(page, layer) + place * row_.bytes());
}

FloatRows PagePool::read(int page, int layer, int place, int count, int begin, int end,
                         Buffer<float>& scratch) const {
  SH_ASSERT(row_.format != CacheFormat::kInt8 || begin % kInt8Block == 0);
  const uint8_t* stored = rows(page, layer, place);
  if (row_.format == CacheFormat::kF32)
    return {reinterpret_cast<const float*>(stored) + begin, row_.size()};
  scratch.resize(int64_t(kPageTokens) * (end - begin));
  kernels<float>().read_cache_rows(row_, stored, count, begin, end, scratch.data());
  return {scratch.data(), end - begin};
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

int64_t cache_bytes(const ModelConfig& config, int64_t tokens, bool drafts, CacheFormat format) {
  return (tokens + kPageTokens - 1) / kPageTokens * kPageTokens *
         kv_bytes_per_token(config, drafts, format);
}

int64_t kv_bytes_per_token(const ModelConfig& config, bool drafts, CacheFormat format) {
  const int64_t stream = drafts ? int64_t(sizeof(float)) * config.hidden_size : 0;
  return (config.num_hidden_layers + int(drafts)) * row_of(config, format).bytes() + stream;
}

int64_t mha_kv_bytes_per_token(const ModelConfig& config, CacheFormat format) {
  return (format == CacheFormat::kF32 ? 4 : 2) * cost_of(config).mha_kv_numbers_per_token;
}

bool can_keep(const ModelConfig& config, CacheFormat format) {
  return format != CacheFormat::kInt8 || !config.grouped_query.on();
}

}  // namespace shenhong
