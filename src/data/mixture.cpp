#include "data/mixture.h"

#include <algorithm>
#include <bit>

#include "core/error.h"
#include "core/random.h"

namespace shenhong {
namespace {

constexpr uint64_t kSourceStream = fnv1a("mixture source");
constexpr uint64_t kWindowStream = fnv1a("mixture window");

}  // namespace

uint64_t permuted(uint64_t i, uint64_t n, uint64_t seed, uint64_t epoch) {
  constexpr uint64_t kRounds = 6;
  SH_ASSERT(i < n && n <= uint64_t{1} << 62);
  const int half = std::max(1, int(std::bit_width(n - 1) + 1) / 2);
  const uint64_t low = (uint64_t{1} << half) - 1;
  do {
    uint64_t left = i >> half, right = i & low;
    for (uint64_t round = 0; round < kRounds; ++round) {
      const Philox r = philox(seed, epoch, right << 3 | round);
      const uint64_t mixed = left ^ (((uint64_t(r[0]) << 32) | r[1]) & low);
      left = right;
      right = mixed;
    }
    i = left << half | right;
  } while (i >= n);
  return i;
}

TokenSource::TokenSource(const fs::path& directory, const std::string& split)
    : name_(directory.filename().string()) {
  for (int number = 0;; ++number) {
    const fs::path path = directory / fmt::format("{}-{:05}.tok", split, number);
    if (!fs::exists(path)) {
      SH_CHECK(number > 0, kBadInput, "{}: no such shard; `shenhong data` writes it",
               path.string());
      break;
    }
    const Shard& shard = shards_.emplace_back(path);
    if (number == 0) vocabulary_ = shard.vocabulary();
    SH_CHECK(shard.vocabulary() == vocabulary_, kBadInput,
             "{}: vocabulary {:016x} of {} tokens, want {:016x} of {} as in the first shard",
             path.string(), shard.vocabulary().hash, shard.vocabulary().size, vocabulary_.hash,
             vocabulary_.size);
    first_token_.push_back(first_token_.back() + shard.tokens());
    first_document_.push_back(first_document_.back() + shard.documents());
    text_bytes_ += shard.text_bytes();
  }
}

double TokenSource::learned_tokens_per_byte() const {
  return text_bytes_ > 0 ? double(tokens() - documents()) / double(text_bytes_) : 0;
}

int64_t TokenSource::document_start(int64_t d) const {
  SH_ASSERT(d >= 0 && d <= documents());
  if (d == documents()) return tokens();
  const size_t s =
      size_t(std::ranges::upper_bound(first_document_, d) - first_document_.begin()) - 1;
  return first_token_[s] + shards_[s].document_start(d - first_document_[s]);
}

void TokenSource::copy(int64_t first, std::span<int> out, std::span<uint8_t> learn) const {
  SH_ASSERT(out.size() == learn.size());
  SH_ASSERT(first >= 0 && first + int64_t(out.size()) <= tokens());
  size_t s = size_t(std::ranges::upper_bound(first_token_, first) - first_token_.begin()) - 1;
  for (size_t done = 0; done < out.size(); ++s) {
    const int64_t from = first + int64_t(done) - first_token_[s];
    const int64_t count = std::min(int64_t(out.size() - done), shards_[s].tokens() - from);
    for (int64_t i = 0; i < count; ++i) {
      out[done + size_t(i)] = shards_[s].token(from + i);
      learn[done + size_t(i)] = shards_[s].learn(from + i);
    }
    done += size_t(count);
  }
}

Windows::Windows(std::shared_ptr<const TokenSource> source, int window, Packing packing,
                 uint64_t seed)
    : source_(std::move(source)), window_(window), packing_(packing) {
  SH_ASSERT(source_ && window_ >= 1);
  if (packing_ == Packing::kWhole) {
    pack(seed);
  } else {
    count_ = (source_->tokens() + window_ - 1) / window_;
  }
}

void Windows::pack(uint64_t seed) {
  const int64_t documents = source_->documents();
  SH_CHECK(documents <= INT32_MAX, kResources, "{}: {} documents to pack whole, want at most {}",
           source_->name(), documents, INT32_MAX);
  documents_.reserve(size_t(documents));
  int64_t room = 0;
  for (int64_t i = 0; i < documents; ++i) {
    const int64_t d = int64_t(permuted(uint64_t(i), uint64_t(documents), seed, 0));
    const int64_t length = source_->document_start(d + 1) - source_->document_start(d);
    if (length > window_) {
      ++too_long_;
      continue;
    }
    if (length > room) {
      first_slot_.push_back(int64_t(documents_.size()));
      room = window_;
    }
    room -= length;
    documents_.push_back(int32_t(d));
  }
  count_ = int64_t(first_slot_.size());
  first_slot_.push_back(int64_t(documents_.size()));
}

void Windows::read(int64_t i, std::span<int> tokens, std::span<uint8_t> learn) const {
  SH_ASSERT(i >= 0 && i < count_);
  SH_ASSERT(tokens.size() == size_t(window_) && learn.size() == size_t(window_));
  size_t filled = 0;
  const auto append = [&](int64_t first, int64_t last) {
    const size_t length = size_t(last - first);
    source_->copy(first, tokens.subspan(filled, length), learn.subspan(filled, length));
    filled += length;
  };
  if (packing_ == Packing::kStream) {
    append(i * window_, std::min((i + 1) * window_, source_->tokens()));
  } else {
    for (int64_t slot = first_slot_[size_t(i)]; slot < first_slot_[size_t(i) + 1]; ++slot) {
      const int32_t d = documents_[size_t(slot)];
      append(source_->document_start(d), source_->document_start(d + 1));
    }
  }
  std::ranges::fill(tokens.subspan(filled), source_->vocabulary().eos);
  std::ranges::fill(learn.subspan(filled), uint8_t{0});
}

Mixture::Mixture(std::vector<MixtureEntry> entries, int window, uint64_t seed)
    : draws_(entries.size()), seed_(seed) {
  SH_CHECK(!entries.empty(), kUsage, "training mixture: no sources");
  double sum = 0;
  for (const MixtureEntry& entry : entries) {
    const TokenSource& source = *entry.source;
    SH_CHECK(entry.weight > 0 && entry.weight < 1e9, kUsage,
             "training mixture: weight of {} = {}: want above 0, below 1e9", source.name(),
             entry.weight);
    SH_CHECK(source.vocabulary() == entries[0].source->vocabulary(), kBadInput,
             "training mixture: {} has vocabulary {:016x}, {} has {:016x}; prepare them together",
             source.name(), source.vocabulary().hash, entries[0].source->name(),
             entries[0].source->vocabulary().hash);
    windows_.emplace_back(entry.source, window, entry.packing, seed ^ fnv1a(source.name()));
    cumulative_.push_back(sum += entry.weight * double(windows_.back().count()));
  }
  SH_CHECK(sum > 0, kUsage, "training mixture: not one document fits a window of {} tokens",
           window);
  for (double& c : cumulative_) c /= sum;
}

int Mixture::next(std::span<int> tokens, std::span<uint8_t> learn) {
  // Above the draw strictly: an empty source has an interval of no width and never comes.
  const double draw = uniform(seed_, kSourceStream, uint64_t(drawn_));
  const size_t s = size_t(std::ranges::upper_bound(cumulative_, draw) - cumulative_.begin());
  SH_ASSERT(s < windows_.size());
  const uint64_t count = uint64_t(windows_[s].count());
  const uint64_t nth = uint64_t(draws_[s]);
  const uint64_t own = seed_ ^ kWindowStream ^ fnv1a(windows_[s].source().name());
  windows_[s].read(int64_t(permuted(nth % count, count, own, nth / count)), tokens, learn);
  ++draws_[s];
  ++drawn_;
  return int(s);
}

double Mixture::epochs(int entry) const {
  const int64_t count = windows_[size_t(entry)].count();
  return count > 0 ? double(draws_[size_t(entry)]) / double(count) : 0;
}

Json Mixture::state() const {
  Json sources = Json::array();
  for (size_t s = 0; s < windows_.size(); ++s)
    sources.push_back({{"name", windows_[s].source().name()},
                       {"windows", windows_[s].count()},
                       {"draws", draws_[s]}});
  return {{"seed", seed_}, {"drawn", drawn_}, {"sources", sources}};
}

void Mixture::restore(const Json& state) {
  Json expected = this->state();
  std::vector<int64_t> draws;
  int64_t drawn = 0;
  try {
    for (size_t s = 0; s < windows_.size(); ++s) {
      draws.push_back(state.at("sources").at(s).at("draws").get<int64_t>());
      expected["sources"][s]["draws"] = draws.back();
      drawn += draws.back();
      SH_CHECK(draws.back() >= 0, kBadInput, "training mixture: state with {} draws", draws.back());
      const Json &was = state["sources"][s], &is = expected["sources"][s];
      SH_CHECK(was == is, kBadInput,
               "training mixture: the run drew from {} (a source of {} windows) where there is now "
               "{} (of {}); bring "
               "that data back, or start the run anew in another directory",
               dump_json(was.value("name", Json())), dump_json(was.value("windows", Json())),
               dump_json(is["name"]), dump_json(is["windows"]));
    }
    expected["drawn"] = state.at("drawn");
    SH_CHECK(state == expected && state.at("drawn").get<int64_t>() == drawn, kBadInput,
             "training mixture: the state to go on from has {} sources and seed {}; the recipe has "
             "{} and {}",
             state.at("sources").size(), dump_json(state.value("seed", Json())), windows_.size(),
             seed_);
  } catch (const nlohmann::json::exception&) {
    fail(Exit::kBadInput, "training mixture: no state to go on from: {}", dump_json(state));
  }
  draws_ = std::move(draws);
  drawn_ = drawn;
}

}  // namespace shenhong
