#include "data/line_index.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/error.h"
#include "data/poem.h"
#include "data/training_documents.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

constexpr int kHashBits = 36;
constexpr std::string_view kMagic = "SHLINES1";
// magic, u64 number of lines, u64 Rice parameter, u64 XXH3 of the packed gaps; then the gaps
// between sorted hashes in Rice code: quotient in ones ended by a zero, then `parameter` bits,
// lowest first.
struct Header {
  char magic[8];
  uint64_t lines, parameter, checksum;
};
static_assert(sizeof(Header) == 32 && std::endian::native == std::endian::little);

class BitWriter {
 public:
  void put(uint64_t bits, int count) {
    for (int i = 0; i < count; ++i, ++at_) {
      if (at_ % 8 == 0) bytes_.push_back('\0');
      bytes_.back() = char(uint8_t(bytes_.back()) | ((bits >> i & 1) << (at_ % 8)));
    }
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
  size_t at_ = 0;
};

class BitReader {
 public:
  BitReader(std::string_view bytes, const fs::path& path) : bytes_(bytes), path_(path) {}
  uint64_t get(int count) {
    SH_CHECK(at_ + size_t(count) <= bytes_.size() * 8, kBadInput,
             "{}: ends inside the list of lines; make it again with `shenhong data`",
             path_.string());
    uint64_t bits = 0;
    for (int i = 0; i < count; ++i, ++at_)
      bits |= uint64_t(uint8_t(bytes_[at_ / 8]) >> (at_ % 8) & 1) << i;
    return bits;
  }

 private:
  std::string_view bytes_;
  const fs::path& path_;
  size_t at_ = 0;
};

}  // namespace

uint64_t LineIndex::hash(std::string_view line) {
  return XXH3_64bits(line.data(), line.size()) >> (64 - kHashBits);
}

LineIndex::LineIndex(std::vector<uint64_t> hashes) : hashes_(std::move(hashes)) {
  std::ranges::sort(hashes_);
  hashes_.erase(std::ranges::unique(hashes_).begin(), hashes_.end());
  SH_ASSERT(hashes_.empty() || hashes_.back() >> kHashBits == 0);
}

bool LineIndex::contains(std::string_view line) const {
  return std::ranges::binary_search(hashes_, hash(line));
}

void LineIndex::save(const fs::path& path) const {
  const uint64_t mean_gap = (uint64_t(1) << kHashBits) / std::max<size_t>(size(), 1);
  Header header{{}, size(), uint64_t(std::bit_width(mean_gap) - 1), 0};
  kMagic.copy(header.magic, sizeof header.magic);
  BitWriter bits;
  uint64_t last = 0;
  for (const uint64_t value : hashes_) {
    const uint64_t gap = value - last;
    for (uint64_t i = gap >> header.parameter; i > 0; --i) bits.put(1, 1);
    bits.put(0, 1);
    bits.put(gap, int(header.parameter));
    last = value;
  }
  header.checksum = XXH3_64bits(bits.bytes().data(), bits.bytes().size());
  write_file(path,
             std::string(reinterpret_cast<const char*>(&header), sizeof header) + bits.bytes());
}

LineIndex LineIndex::load(const fs::path& path) {
  const MappedFile file(path);
  Header header;
  SH_CHECK(file.text().size() >= sizeof header && file.text().starts_with(kMagic), kBadInput,
           "{}: no index of training lines; make one with `shenhong data`", path.string());
  std::memcpy(&header, file.text().data(), sizeof header);
  const std::string_view packed = file.text().substr(sizeof header);
  SH_CHECK(header.parameter <= kHashBits && header.lines <= packed.size() * 8 &&
               header.checksum == XXH3_64bits(packed.data(), packed.size()),
           kBadInput, "{}: cut short or damaged; make it again with `shenhong data`",
           path.string());
  BitReader bits(packed, path);
  LineIndex index;
  index.hashes_.reserve(header.lines);
  uint64_t last = 0;
  for (uint64_t i = 0; i < header.lines; ++i) {
    uint64_t quotient = 0;
    while (bits.get(1)) ++quotient;
    last += (quotient << header.parameter) + bits.get(int(header.parameter));
    index.hashes_.push_back(last);
  }
  return index;
}

LineIndex index_training_lines(const fs::path& prepared) {
  std::vector<uint64_t> hashes;
  for (const fs::path& file : training_documents(prepared)) {
    read_documents(file, [&](Document&& document) {
      const std::string kind = document.meta.value("kind", "");
      if (kind != "诗" && kind != "词" && kind != "曲") return;
      for (const std::string& line : parse_poem(text_below_heading(document)).lines) {
        if (count_characters(line) >= size_t(kShortestCopiedLine)) {
          hashes.push_back(LineIndex::hash(line));
        }
      }
    });
  }
  return LineIndex(std::move(hashes));
}

}  // namespace shenhong
