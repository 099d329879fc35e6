// The training reader: windows of tokens drawn from a weighted mixture of sources. What is drawn
// depends on the seed and on how many windows were drawn before, so a training run that starts
// again sees exactly what it would have seen.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/shards.h"

namespace shenhong {

// All shards of one source and split as one long row of tokens.
class TokenSource {
 public:
  // Opens DIR/SPLIT-00000.tok and those that follow. Error(kBadInput) if there is none, if a shard
  // is broken, or if two disagree about the vocabulary.
  TokenSource(const fs::path& directory, const std::string& split);

  const std::string& name() const { return name_; }  // the directory's last part
  const Vocabulary& vocabulary() const { return vocabulary_; }
  int64_t tokens() const { return first_token_.back(); }
  int64_t documents() const { return first_document_.back(); }
  int64_t text_bytes() const { return text_bytes_; }

  // Bits per byte of the text = nats per learned token * this / ln 2. BOS is no learned token.
  double learned_tokens_per_byte() const;

  // The index of document d's first token; documents() gives tokens().
  int64_t document_start(int64_t d) const;

  // Tokens [first, first + tokens.size()) and whether each is a target of training.
  void copy(int64_t first, std::span<int> tokens, std::span<uint8_t> learn) const;

 private:
  std::string name_;
  Vocabulary vocabulary_;
  std::vector<Shard> shards_;
  std::vector<int64_t> first_token_{0}, first_document_{0};  // of each shard, and the totals
  int64_t text_bytes_ = 0;
};

enum class Packing {
  kStream,  // consecutive tokens of the documents one after another; windows cut where they cut
  kWhole,  // whole documents, as many as fit, in an order shuffled by the seed; the rest is padding
};

// One source cut into windows of equal length. Places that no document fills hold EOS with learn =
// 0. `learn[i]` says whether token i is a target: the loss of predicting it from the tokens before
// it.
class Windows {
 public:
  // With kWhole, a document longer than `window` is left out and counted in too_long().
  Windows(std::shared_ptr<const TokenSource> source, int window, Packing packing, uint64_t seed);

  int64_t count() const { return count_; }
  int window() const { return window_; }
  int64_t too_long() const { return too_long_; }
  const TokenSource& source() const { return *source_; }

  // Window i of [0, count()); both spans hold window() elements.
  void read(int64_t i, std::span<int> tokens, std::span<uint8_t> learn) const;

 private:
  void pack(uint64_t seed);

  std::shared_ptr<const TokenSource> source_;
  int window_;
  Packing packing_;
  int64_t count_ = 0, too_long_ = 0;
  std::vector<int32_t> documents_;   // kWhole: in packing order
  std::vector<int64_t> first_slot_;  // kWhole: window i holds documents_[first_slot_[i], [i + 1])
};

struct MixtureEntry {
  std::shared_ptr<const TokenSource> source;
  // How often the source's texts are seen, relative to the others: a source of weight 2 has gone
  // through two epochs when one of weight 1 has gone through one. Windows are drawn in proportion
  // to weight * windows of the source.
  double weight = 1;
  Packing packing = Packing::kStream;
};

class Mixture {
 public:
  // Error(kUsage) on a weight that is not positive, or when all sources are empty; Error(kBadInput)
  // when sources come from different vocabularies.
  Mixture(std::vector<MixtureEntry> entries, int window, uint64_t seed);

  // The next window; both spans hold `window` elements. Within one epoch of a source no window
  // comes twice. Returns the index of the entry it came from.
  int next(std::span<int> tokens, std::span<uint8_t> learn);

  int64_t drawn() const { return drawn_; }  // windows so far
  double epochs(int entry) const;           // of one source so far
  const Windows& windows(int entry) const { return windows_[size_t(entry)]; }
  int entries() const { return int(windows_.size()); }

  // Where the mixture stands. `restore` takes it back exactly; Error(kBadInput) when the state was
  // taken from other sources.
  Json state() const;
  void restore(const Json& state);

 private:
  std::vector<Windows> windows_;
  std::vector<double> cumulative_;  // of the draw's probability, ends at 1
  std::vector<int64_t> draws_;      // per source
  int64_t drawn_ = 0;
  uint64_t seed_;
};

// A pseudo-random permutation of [0, n) that needs no memory: a Feistel network on the next even
// power of two, walked until it falls inside. Returns where `i` goes.
uint64_t permuted(uint64_t i, uint64_t n, uint64_t seed, uint64_t epoch);

}  // namespace shenhong
