// Files: whole reads, memory maps, and writes that are either complete or absent.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace shenhong {

namespace fs = std::filesystem;

// The whole file. Error(kBadInput) names the path and the system's reason.
std::string read_file(const fs::path& path);

// Writes path + ".tmp", fsyncs, renames, fsyncs the directory: after a crash the path holds the old
// bytes or the new ones. Creates missing parent directories. Error(kResources) when the disk is
// full.
void write_file(const fs::path& path, std::string_view bytes);

// For writers that fill a directory of their own and rename it at the end.
void fsync_path(const fs::path& path);

// 64-bit XXH3 of some bytes, as 16 hexadecimal digits.
std::string hash_hex(std::string_view bytes);

// A read-only map of a whole file; empty files map to an empty span.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const fs::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept { swap(other); }
  MappedFile& operator=(MappedFile&& other) noexcept {
    swap(other);
    return *this;
  }
  std::span<const uint8_t> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  void swap(MappedFile& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace shenhong
