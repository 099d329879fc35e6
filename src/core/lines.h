// Files of lines, plain or compressed by zstd, read and written in pieces of bounded size.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/file.h"

namespace shenhong {

// The bytes of a file; of a .zst file the bytes packed in it (windows up to 128 MiB).
class ByteReader {
 public:
  explicit ByteReader(const fs::path& path);
  ~ByteReader();
  ByteReader(ByteReader&&) noexcept;
  ByteReader& operator=(ByteReader&&) noexcept;

  // Appends up to about `size` bytes to `bytes`; false at the end of the file.
  // Error(kBadInput) on a broken or cut-short .zst.
  bool append(std::string& bytes, size_t size);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class LineReader {
 public:
  explicit LineReader(const fs::path& path) : path_(path), reader_(path) {}

  // The next line without its end (\n or \r\n); false after the last. Error(kBadInput) on a line
  // longer than 64 MiB.
  bool next(std::string& line);
  int64_t number() const { return number_; }  // of the line that next() gave last, from 1

 private:
  fs::path path_;
  ByteReader reader_;
  std::string buffer_;
  size_t at_ = 0;
  int64_t number_ = 0;
};

// Writes a .zst under a temporary name; finish() makes it appear under its own.
class ZstdWriter {
 public:
  explicit ZstdWriter(const fs::path& path);
  ~ZstdWriter();
  ZstdWriter(ZstdWriter&&) noexcept;

  void write(std::string_view bytes);
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace shenhong
