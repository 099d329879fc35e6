#include "formats/new_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace shenhong {

NewFile::NewFile(const fs::path& path) : path_(path), temporary_(path.string() + ".tmp") {
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  SH_CHECK(fd_ >= 0, kResources, "{}: cannot be opened: {}", temporary_.string(),
           std::strerror(errno));
}

NewFile::~NewFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void NewFile::write(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    SH_CHECK(put >= 0, kResources, "{}: cannot be written: {}", temporary_.string(),
             std::strerror(errno));
    bytes = bytes.subspan(size_t(put));
  }
}

void NewFile::finish() {
  SH_CHECK(::fsync(fd_) == 0, kResources, "{}: cannot be synced: {}", temporary_.string(),
           std::strerror(errno));
  SH_CHECK(::rename(temporary_.c_str(), path_.c_str()) == 0, kResources,
           "{}: cannot be renamed: {}", temporary_.string(), std::strerror(errno));
  ::close(fd_);
  fd_ = -1;
  fsync_path(path_.has_parent_path() ? path_.parent_path() : fs::path("."));
}

}  // namespace shenhong
