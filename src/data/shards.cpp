#include "data/shards.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/error.h"

namespace shenhong {
namespace {

static_assert(std::endian::native == std::endian::little, "shards are little-endian in memory too");

constexpr char kMagic[8] = {'S', 'H', 'T', 'O', 'K', 'E', 'N', 'S'};
constexpr uint32_t kVersion = 1;
constexpr uint32_t kMaskFlag = 1;
constexpr size_t kChecksum = sizeof(uint64_t);

// The first 64 bytes of a shard; see docs/formats.md.
struct Header {
  char magic[8];
  uint32_t version, token_width;
  uint64_t tokens, documents, text_bytes, vocab_hash;
  uint32_t vocab_size, bos, eos, flags;
};
static_assert(sizeof(Header) == 64);

uint64_t padded(uint64_t bytes) { return (bytes + 7) & ~uint64_t{7}; }
uint64_t mask_bytes(uint64_t tokens) { return padded((tokens + 7) / 8); }

// The size of a whole shard, or 0 where the header's numbers cannot be true for any file.
uint64_t file_size(const Header& h) {
  constexpr uint64_t kLimit = uint64_t{1} << 48;
  if (h.tokens > kLimit || h.documents > h.tokens) return 0;
  return sizeof(Header) + padded(h.tokens * h.token_width) + h.documents * sizeof(uint64_t) +
         (h.flags & kMaskFlag ? mask_bytes(h.tokens) : 0) + kChecksum;
}

template <class T>
T load(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

void pad(std::string& bytes) { bytes.resize(padded(bytes.size()), '\0'); }

template <class T>
void append_tokens(std::string& bytes, const std::vector<uint32_t>& tokens) {
  for (const uint32_t token : tokens) {
    const T narrow = T(token);
    bytes.append(reinterpret_cast<const char*>(&narrow), sizeof(T));
  }
}

fs::path shard_path(const fs::path& directory, const std::string& split, int number) {
  return directory / fmt::format("{}-{:05}.tok", split, number);
}

}  // namespace

uint64_t vocabulary_hash(const fs::path& tokenizer_json) {
  const std::string bytes = read_file(tokenizer_json);
  return XXH3_64bits(bytes.data(), bytes.size());
}

ShardWriter::ShardWriter(fs::path directory, std::string split, Vocabulary vocabulary,
                         bool with_mask, int64_t shard_tokens)
    : directory_(std::move(directory)),
      split_(std::move(split)),
      vocabulary_(vocabulary),
      with_mask_(with_mask),
      shard_tokens_(shard_tokens) {
  SH_ASSERT(vocabulary_.size > 0 && shard_tokens_ > 0);
  for (int number = 0; fs::remove(shard_path(directory_, split_, number)); ++number) {
  }
}

void ShardWriter::add(std::span<const int> tokens, int64_t text_bytes,
                      std::span<const uint8_t> learn) {
  SH_ASSERT(!tokens.empty() && text_bytes >= 0);
  SH_ASSERT(learn.size() == (with_mask_ ? tokens.size() : 0));
  if (!tokens_.empty() && int64_t(tokens_.size() + tokens.size()) > shard_tokens_) flush();
  starts_.push_back(tokens_.size());
  for (const int token : tokens) {
    SH_ASSERT(token >= 0 && token < vocabulary_.size);
    tokens_.push_back(uint32_t(token));
  }
  learn_.insert(learn_.end(), learn.begin(), learn.end());
  text_bytes_ += text_bytes;
  total_tokens_ += int64_t(tokens.size());
  ++total_documents_;
}

void ShardWriter::finish() {
  if (!tokens_.empty() || shards_ == 0) flush();
}

void ShardWriter::flush() {
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.version = kVersion;
  header.token_width = vocabulary_.size <= 1 << 16 ? 2 : 4;
  header.tokens = tokens_.size();
  header.documents = starts_.size();
  header.text_bytes = uint64_t(text_bytes_);
  header.vocab_hash = vocabulary_.hash;
  header.vocab_size = uint32_t(vocabulary_.size);
  header.bos = uint32_t(vocabulary_.bos);
  header.eos = uint32_t(vocabulary_.eos);
  header.flags = with_mask_ ? kMaskFlag : 0;

  std::string bytes;
  bytes.reserve(file_size(header));
  bytes.append(reinterpret_cast<const char*>(&header), sizeof(header));
  header.token_width == 2 ? append_tokens<uint16_t>(bytes, tokens_)
                          : append_tokens<uint32_t>(bytes, tokens_);
  pad(bytes);
  bytes.append(reinterpret_cast<const char*>(starts_.data()), starts_.size() * sizeof(uint64_t));
  if (with_mask_) {
    const size_t first = bytes.size();
    bytes.resize(first + mask_bytes(tokens_.size()), '\0');
    for (size_t i = 0; i < learn_.size(); ++i)
      if (learn_[i]) bytes[first + i / 8] = char(uint8_t(bytes[first + i / 8]) | (1u << (i % 8)));
  }
  const uint64_t checksum = XXH3_64bits(bytes.data(), bytes.size());
  bytes.append(reinterpret_cast<const char*>(&checksum), sizeof(checksum));
  SH_ASSERT(bytes.size() == file_size(header));
  write_file(shard_path(directory_, split_, shards_++), bytes);
  tokens_.clear();
  starts_.clear();
  learn_.clear();
  text_bytes_ = 0;
}

Shard::Shard(const fs::path& path) : file_(path) {
  const std::string name = path.string();
  const std::span<const uint8_t> bytes = file_.bytes();
  SH_CHECK(bytes.size() >= sizeof(Header) + kChecksum, kBadInput,
           "{}: cut short: {} bytes, want at least {}", name, bytes.size(),
           sizeof(Header) + kChecksum);
  const Header header = load<Header>(bytes.data());
  SH_CHECK(std::memcmp(header.magic, kMagic, sizeof(kMagic)) == 0, kBadInput,
           "{}: is no token shard: does not begin with {}", name,
           std::string_view(kMagic, sizeof(kMagic)));
  SH_CHECK(header.version == kVersion, kBadInput, "{}: shard version {}, want {}; prepare it again",
           name, header.version, kVersion);
  SH_CHECK(header.token_width == 2 || header.token_width == 4, kBadInput,
           "{}: tokens of {} bytes, want 2 or 4", name, header.token_width);
  const uint64_t want = file_size(header);
  SH_CHECK(bytes.size() == want, kBadInput,
           "{}: {} bytes, want {} for its {} tokens and {} documents; prepare it again", name,
           bytes.size(), want, header.tokens, header.documents);
  const uint64_t stored = load<uint64_t>(bytes.data() + want - kChecksum);
  const uint64_t found = XXH3_64bits(bytes.data(), want - kChecksum);
  SH_CHECK(stored == found, kBadInput, "{}: checksum {:016x}, want {:016x}; prepare it again", name,
           found, stored);

  width_ = int(header.token_width);
  tokens_ = int64_t(header.tokens);
  documents_ = int64_t(header.documents);
  text_bytes_ = int64_t(header.text_bytes);
  SH_CHECK(header.vocab_size >= 1 && header.vocab_size <= 1u << 30 &&
               header.bos < header.vocab_size && header.eos < header.vocab_size,
           kBadInput, "{}: vocabulary of {} tokens with BOS {} and EOS {}", name, header.vocab_size,
           header.bos, header.eos);
  vocabulary_ = {int(header.vocab_size), header.vocab_hash, int(header.bos), int(header.eos)};
  token_bytes_ = bytes.data() + sizeof(Header);
  starts_ = token_bytes_ + padded(header.tokens * header.token_width);
  if (header.flags & kMaskFlag) learn_ = starts_ + header.documents * sizeof(uint64_t);

  // A good checksum over bad numbers means a bad writer; training must not find that out by a
  // crash.
  int highest = 0;
  for (int64_t i = 0; i < tokens_; ++i) highest = std::max(highest, token(i));
  SH_CHECK(tokens_ == 0 || highest < vocabulary_.size, kBadInput,
           "{}: holds token {}, want below its vocabulary of {}", name, highest, vocabulary_.size);
  int64_t before = -1;
  for (int64_t d = 0; d < documents_; ++d) {
    const int64_t start = document_start(d);
    SH_CHECK(start > before && start < tokens_ && (d > 0 || start == 0), kBadInput,
             "{}: document {} starts at token {}, want above {} and below {}", name, d, start,
             before, tokens_);
    before = start;
  }
}

int Shard::token(int64_t i) const {
  return width_ == 2 ? int(load<uint16_t>(token_bytes_ + 2 * i))
                     : int(load<uint32_t>(token_bytes_ + 4 * i));
}

bool Shard::learn(int64_t i) const {
  if (learn_) return (learn_[i / 8] >> (i % 8)) & 1;
  return token(i) != vocabulary_.bos;
}

int64_t Shard::document_start(int64_t d) const {
  return d == documents_ ? tokens_ : int64_t(load<uint64_t>(starts_ + 8 * d));
}

}  // namespace shenhong
