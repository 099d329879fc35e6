#include "train/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace shenhong {
namespace {

std::string holder(int fd) {
  char text[32] = {};
  const ssize_t got = ::pread(fd, text, sizeof text - 1, 0);
  return got > 0 ? fmt::format("process {}", text) : "another process";
}

}  // namespace

RunLock::RunLock(const fs::path& directory) {
  std::error_code failed;
  fs::create_directories(directory, failed);
  SH_CHECK(!failed, kResources, "{}: cannot be created: {}", directory.string(), failed.message());
  const fs::path path = directory / ".lock";
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  SH_CHECK(fd_ >= 0, kResources, "{}: cannot be opened: {}", path.string(), std::strerror(errno));
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    const int reason = errno;
    const std::string who = holder(fd_);
    ::close(fd_);
    SH_CHECK(reason == EWOULDBLOCK, kResources, "{}: cannot be locked: {}", path.string(),
             std::strerror(reason));
    fail(Exit::kUsage, "{}: {} trains here; stop it or choose another directory",
         directory.string(), who);
  }
  // Only for the message above: the lock holds whether or not this is written.
  const std::string pid = std::to_string(::getpid());
  [[maybe_unused]] const bool told =
      ::ftruncate(fd_, 0) == 0 && ::pwrite(fd_, pid.data(), pid.size(), 0) > 0;
}

RunLock::~RunLock() { ::close(fd_); }

}  // namespace shenhong
