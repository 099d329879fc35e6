// The memory of all caches: pages of some tokens each, which sequences take, share and give back.
// Per layer and token a page keeps the latent after its norm and the rotary key after its rotation,
// side by side (V2 report, 2.1), in the cache's number format (kernels/cache_rows.h); with
// grouped-query attention, the rotated keys of all its heads and then their values. With drafts
// there is one layer more, the prediction module's, and the stream of every token that left the
// trunk, in float. What a sequence is, is infer/sequence's business.
//
// A page of a prompt can be published under the tokens that it holds and the page before it.
// Whoever reads the same beginning then shares it: a chain of equal pages is an equal beginning. A
// published page that nobody uses stays until its memory is wanted, the one unused for longest
// going first.
//
// One thread at a time, but rows may be read from any.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/buffer.h"
#include "kernels/cache_rows.h"
#include "model/config.h"

namespace shenhong {

constexpr int kPageTokens = 32;

// Rows of some tokens as floats, `stride` apart.
struct FloatRows {
  const float* data;
  int64_t stride;
};

class PagePool {
 public:
  // As many pages as `bytes` hold. The system gives memory only as pages are first written.
  // Error(kUsage): not even one fits, or int8 for grouped-query attention, whose keys carry their
  // rotation. Error(kResources): the system has not so much.
  PagePool(const ModelConfig& config, int64_t bytes, bool drafts = false,
           CacheFormat format = CacheFormat::kF32);

  int pages() const { return int(info_.size()); }
  int64_t tokens() const { return int64_t(pages()) * kPageTokens; }
  int available() const { return int(free_.size() + unused_.size()); }  // that take() would give
  const CacheRow& row() const { return row_; }
  bool drafts() const { return stream_size_ > 0; }

  // A layer's row of the token at `place` of a page: numbers [Rkv + Dr].
  void write(int page, int layer, int place, const float* numbers);
  // The rows of `layer` from the token at `place` of a page on, as the cache keeps them. From any
  // thread.
  const uint8_t* rows(int page, int layer, int place) const {
    return bytes_.data() + offset(page, layer) + place * row_.bytes();
  }
  // Numbers [begin, end) of the rows of `count` tokens from `place` on: where they lie, if they are
  // floats, else in `scratch`. In int8 `begin` is a multiple of 32. From any thread.
  FloatRows read(int page, int layer, int place, int count, int begin, int end,
                 Buffer<float>& scratch) const;

  // What left the trunk for a token of a page, [D]; only with drafts.
  float* stream(int page, int place) {
    return reinterpret_cast<float*>(bytes_.data() + offset(page, layers_)) +
           int64_t(place) * stream_size_;
  }

  // A page of the caller's own, or nothing. It may hold anything.
  std::optional<int> take();
  void release(int page);

  // The published page that holds `tokens` after `before` (nothing: at the beginning), shared with
  // the caller; or nothing. kPageTokens tokens.
  std::optional<int> find(std::optional<int> before, std::span<const int> tokens);
  // Lets others find the caller's page. `before` is published, too. Where an equal page is already,
  // the caller's is given back and it shares that one from now on.
  int publish(int page, std::optional<int> before, std::span<const int> tokens);

 private:
  // What a published page holds. Its own number is never used twice: a page that comes to hold
  // something else is not the one that its followers were read after.
  struct Prefix {
    uint64_t before = 0;  // number of the page before; 0: none
    std::array<int, kPageTokens> tokens = {};
    bool operator==(const Prefix&) const = default;
  };
  struct Hash {
    size_t operator()(const Prefix& prefix) const;
  };
  struct Info {
    int users = 0;
    uint64_t number = 0;  // 0: not published
    Prefix prefix = {};
    std::list<int>::iterator unused = {};  // its place there, if it is published and has no user
  };

  // In bytes.
  int64_t offset(int page, int layer) const {
    return kPageTokens * (page * token_bytes_ + layer * row_.bytes());
  }
  Prefix prefix_of(std::optional<int> before, std::span<const int> tokens) const;
  void use(int page);

  int layers_, stream_size_;
  CacheRow row_;
  int64_t token_bytes_;  // of all layers
  Buffer<uint8_t> bytes_;
  std::vector<Info> info_;  // by page
  std::vector<int> free_;
  std::list<int> unused_;  // published pages without users, the longest unused first
  std::unordered_map<Prefix, int, Hash> published_;
  uint64_t last_number_ = 0;
};

// Bytes of a pool that holds so many tokens of one sequence.
int64_t cache_bytes(const ModelConfig& config, int64_t tokens, bool drafts = false,
                    CacheFormat format = CacheFormat::kF32);
// Bytes that one more token takes, as we keep it, and what full per-head keys and values would take
// in floats of 4 bytes (f32) or 2 (the others).
int64_t kv_bytes_per_token(const ModelConfig& config, bool drafts = false,
                           CacheFormat format = CacheFormat::kF32);
int64_t mha_kv_bytes_per_token(const ModelConfig& config, CacheFormat format = CacheFormat::kF32);
// Whether a model's rows can be kept so: int8 wants a latent.
bool can_keep(const ModelConfig& config, CacheFormat format);

}  // namespace shenhong
