// A file that appears under its path whole and synced, or not at all: for containers that are written
// piece by piece. Error(kResources) names the file and the system's reason.
#pragma once

#include <cstdint>
#include <span>

#include "core/file.h"

namespace shenhong {

class NewFile {
 public:
  explicit NewFile(const fs::path& path);
  ~NewFile();  // without finish() nothing stays behind
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void write(std::span<const uint8_t> bytes);
  void finish();

 private:
  fs::path path_, temporary_;
  int fd_;
};

}  // namespace shenhong
