#include "data/dedup.h"

#include <xxhash.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "core/error.h"
#include "core/random.h"
#include "data/clean.h"

namespace shenhong {
namespace {

constexpr size_t kRun = 5;
// A bucket can hold a whole corpus of boilerplate; a newcomer is compared with this many of its
// members that are unlike one another.
constexpr size_t kLeaders = 8;

struct Permutations {
  std::array<uint64_t, kPermutations> factor, offset;
  Permutations() {
    for (size_t i = 0; i < kPermutations; ++i) {
      const Philox r = philox(0, fnv1a("minhash"), i);
      factor[i] = ((uint64_t(r[0]) << 32) | r[1]) | 1;
      offset[i] = (uint64_t(r[2]) << 32) | r[3];
    }
  }
};

uint64_t hash_of(std::u32string_view letters) {
  return XXH3_64bits(letters.data(), letters.size() * sizeof(char32_t));
}

// Where the signatures of several sources stand in one numbering.
class Row {
 public:
  explicit Row(std::span<const std::span<const Signature>> parts) : parts_(parts) {
    for (const auto& part : parts) first_.push_back(first_.back() + part.size());
    SH_CHECK(size() < std::numeric_limits<uint32_t>::max(), kResources,
             "{} documents: want at most {}", size(), std::numeric_limits<uint32_t>::max() - 1);
  }
  size_t size() const { return first_.back(); }
  const Signature& operator[](size_t i) const {
    const size_t part = size_t(std::ranges::upper_bound(first_, i) - first_.begin()) - 1;
    return parts_[part][i - first_[part]];
  }
  template <class Visit>
  void for_each(Visit&& visit) const {
    uint32_t i = 0;
    for (const auto& part : parts_)
      for (const Signature& signature : part) visit(i++, signature);
  }

 private:
  std::span<const std::span<const Signature>> parts_;
  std::vector<size_t> first_{0};
};

// Groups with their smallest member as the root.
class Groups {
 public:
  explicit Groups(size_t size) : parent_(size) { std::iota(parent_.begin(), parent_.end(), 0u); }
  uint32_t root(uint32_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void join(uint32_t a, uint32_t b) {
    a = root(a);
    b = root(b);
    parent_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<uint32_t> parent_;
};

struct Entry {
  uint64_t key;
  uint32_t document;
};

// Calls visit(documents) for every set of two or more documents of one key, ascending.
template <class Key, class Visit>
void for_each_bucket(const Row& row, size_t max_entries, Key&& key_of, Visit&& visit) {
  const uint64_t passes = std::max<uint64_t>(1, (row.size() + max_entries - 1) / max_entries);
  std::vector<Entry> entries;
  entries.reserve(row.size() / passes + row.size() / passes / 4);  // keys do not fall quite evenly
  std::vector<uint32_t> bucket;
  for (uint64_t pass = 0; pass < passes; ++pass) {
    entries.clear();
    row.for_each([&](uint32_t document, const Signature& signature) {
      const uint64_t key = key_of(signature);
      if (key % passes == pass) entries.push_back({key, document});
    });
    std::ranges::sort(entries, [](const Entry& a, const Entry& b) {
      return a.key != b.key ? a.key < b.key : a.document < b.document;
    });
    for (size_t i = 0; i < entries.size();) {
      bucket.clear();
      const uint64_t key = entries[i].key;
      for (; i < entries.size() && entries[i].key == key; ++i)
        bucket.push_back(entries[i].document);
      if (bucket.size() > 1) visit(bucket);
    }
  }
}

}  // namespace

uint64_t hash_letters(std::string_view text) { return hash_of(letters_of(text)); }

Signature sign(std::string_view text) {
  static const Permutations permutations;
  const std::u32string letters = letters_of(text);
  std::array<uint64_t, kPermutations> minima;
  minima.fill(std::numeric_limits<uint64_t>::max());
  const size_t runs = letters.size() > kRun ? letters.size() - kRun + 1 : 1;
  for (size_t at = 0; at < runs; ++at) {
    const uint64_t run = hash_of(std::u32string_view(letters).substr(at, kRun)) >> 32;
    for (size_t i = 0; i < kPermutations; ++i)
      minima[i] =
          std::min(minima[i], (permutations.factor[i] * run + permutations.offset[i]) >> 32);
  }
  Signature signature;
  signature.letters_hash = hash_of(letters);
  for (size_t i = 0; i < kPermutations; ++i) signature.minima[i] = uint16_t(minima[i]);
  return signature;
}

double similarity(const Signature& a, const Signature& b) {
  int equal = 0;
  for (size_t i = 0; i < kPermutations; ++i) equal += a.minima[i] == b.minima[i];
  return double(equal) / kPermutations;
}

std::vector<Verdict> find_copies(std::span<const std::span<const Signature>> signatures,
                                 double threshold, int64_t memory_bytes) {
  const Row row(signatures);
  const size_t max_entries = std::max<size_t>(1024, size_t(memory_bytes) / sizeof(Entry));
  Groups groups(row.size());
  std::vector<Verdict> verdicts(row.size(), Verdict::kKeep);

  for_each_bucket(
      row, max_entries, [](const Signature& s) { return s.letters_hash; },
      [&](const std::vector<uint32_t>& bucket) {
        for (const uint32_t document : std::span(bucket).subspan(1)) {
          groups.join(bucket[0], document);
          verdicts[document] = Verdict::kExactCopy;
        }
      });
  if (threshold <= 0) return verdicts;

  for (size_t band = 0; band < kBands; ++band) {
    const auto key_of = [band](const Signature& s) {
      return XXH3_64bits(&s.minima[band * kRows], kRows * sizeof(uint16_t));
    };
    std::vector<uint32_t> leaders;
    for_each_bucket(row, max_entries, key_of, [&](const std::vector<uint32_t>& bucket) {
      leaders.clear();
      for (const uint32_t document : bucket) {
        const auto is_alike = [&](uint32_t leader) {
          return groups.root(leader) == groups.root(document) ||
                 similarity(row[leader], row[document]) >= threshold;
        };
        const auto like = std::ranges::find_if(leaders, is_alike);
        if (like != leaders.end()) {
          groups.join(*like, document);
        } else if (leaders.size() < kLeaders) {
          leaders.push_back(document);
        }
      }
    });
  }
  for (uint32_t i = 0; i < row.size(); ++i)
    if (verdicts[i] == Verdict::kKeep && groups.root(i) != i) verdicts[i] = Verdict::kNearCopy;
  return verdicts;
}

}  // namespace shenhong
