#include "core/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace shenhong {
namespace {

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags, Exit code)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    SH_ASSERT(code != Exit::kOk);
    if (fd_ < 0) fail(code, "{}: cannot be opened: {}", path.string(), std::strerror(errno));
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  operator int() const { return fd_; }

 private:
  int fd_;
};

size_t regular_size(int fd, const fs::path& path) {
  struct stat info;
  SH_CHECK(::fstat(fd, &info) == 0, kBadInput, "{}: cannot be read: {}", path.string(),
           std::strerror(errno));
  SH_CHECK(S_ISREG(info.st_mode), kBadInput, "{}: is not a regular file", path.string());
  return size_t(info.st_size);
}

}  // namespace

std::string read_file(const fs::path& path) {
  const Descriptor fd(path, O_RDONLY, Exit::kBadInput);
  std::string bytes(regular_size(fd, path), '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::read(fd, bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    SH_CHECK(got >= 0, kBadInput, "{}: cannot be read: {}", path.string(), std::strerror(errno));
    if (got == 0) break;
    done += size_t(got);
  }
  bytes.resize(done);
  return bytes;
}

void write_file(const fs::path& path, std::string_view bytes) {
  if (path.has_parent_path()) {
    std::error_code failed;
    fs::create_directories(path.parent_path(), failed);
    SH_CHECK(!failed, kResources, "{}: cannot be created: {}", path.parent_path().string(),
             failed.message());
  }
  const fs::path temporary = path.string() + ".tmp";
  {
    const Descriptor fd(temporary, O_WRONLY | O_CREAT | O_TRUNC, Exit::kResources);
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t put = ::write(fd, bytes.data() + done, bytes.size() - done);
      if (put < 0 && errno == EINTR) continue;
      SH_CHECK(put >= 0, kResources, "{}: cannot be written: {}", temporary.string(),
               std::strerror(errno));
      done += size_t(put);
    }
    SH_CHECK(::fsync(fd) == 0, kResources, "{}: cannot be synced: {}", temporary.string(),
             std::strerror(errno));
  }
  std::error_code failed;
  fs::rename(temporary, path, failed);
  SH_CHECK(!failed, kResources, "{}: cannot be renamed: {}", temporary.string(), failed.message());
  fsync_path(path.has_parent_path() ? path.parent_path() : fs::path("."));
}

void fsync_path(const fs::path& path) {
  const Descriptor fd(path, O_RDONLY, Exit::kResources);
  SH_CHECK(::fsync(fd) == 0, kResources, "{}: cannot be synced: {}", path.string(),
           std::strerror(errno));
}

std::string hash_hex(std::string_view bytes) {
  return fmt::format("{:016x}", XXH3_64bits(bytes.data(), bytes.size()));
}

MappedFile::MappedFile(const fs::path& path) {
  const Descriptor fd(path, O_RDONLY, Exit::kBadInput);
  size_ = regular_size(fd, path);
  if (size_ == 0) return;
  void* map = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
  SH_CHECK(map != MAP_FAILED, kResources, "{}: cannot be mapped: {}", path.string(),
           std::strerror(errno));
  data_ = static_cast<const uint8_t*>(map);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<uint8_t*>(data_), size_);
}

}  // namespace shenhong
