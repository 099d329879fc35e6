#include "core/lines.h"

#include <zstd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "core/error.h"

namespace shenhong {
namespace {

constexpr int kWindowLog = 27;  // 128 MiB, what `zstd --long` writes
constexpr size_t kMaxLine = size_t{64} << 20;
constexpr size_t kPiece = size_t{1} << 20;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

File open(const fs::path& path, const char* mode, Exit code) {
  File file(std::fopen(path.c_str(), mode));
  if (!file) fail(code, "{}: cannot be opened: {}", path.string(), std::strerror(errno));
  return file;
}

}  // namespace

struct ByteReader::State {
  struct Free {
    void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
  };
  fs::path path;
  File file;
  std::unique_ptr<ZSTD_DStream, Free> stream;  // null: a plain file
  std::vector<char> packed;
  ZSTD_inBuffer input{nullptr, 0, 0};
  size_t frame_left = 0;  // 0: between two frames

  bool refill() {
    const size_t got = std::fread(packed.data(), 1, packed.size(), file.get());
    SH_CHECK(!std::ferror(file.get()), kBadInput, "{}: cannot be read: {}", path.string(),
             std::strerror(errno));
    input = {packed.data(), got, 0};
    return got > 0;
  }
};

ByteReader::ByteReader(const fs::path& path) : state_(std::make_unique<State>()) {
  SH_CHECK(!fs::is_directory(path), kBadInput, "{}: is a directory, want a file", path.string());
  state_->path = path;
  state_->file = open(path, "rb", Exit::kBadInput);
  if (path.extension() != ".zst") return;
  state_->stream.reset(ZSTD_createDStream());
  SH_ASSERT(state_->stream);
  ZSTD_DCtx_setParameter(state_->stream.get(), ZSTD_d_windowLogMax, kWindowLog);
  state_->packed.resize(ZSTD_DStreamInSize());
}

ByteReader::~ByteReader() = default;
ByteReader::ByteReader(ByteReader&&) noexcept = default;
ByteReader& ByteReader::operator=(ByteReader&&) noexcept = default;

bool ByteReader::append(std::string& bytes, size_t size) {
  State& s = *state_;
  const size_t before = bytes.size();
  bytes.resize(before + size);
  if (!s.stream) {
    const size_t got = std::fread(bytes.data() + before, 1, size, s.file.get());
    SH_CHECK(!std::ferror(s.file.get()), kBadInput, "{}: cannot be read: {}", s.path.string(),
             std::strerror(errno));
    bytes.resize(before + got);
    return got > 0;
  }
  ZSTD_outBuffer output{bytes.data() + before, size, 0};
  while (output.pos == 0) {
    if (s.input.pos == s.input.size && !s.refill()) {
      SH_CHECK(s.frame_left == 0, kBadInput, "{}: ends in the middle of a zstd frame",
               s.path.string());
      bytes.resize(before);
      return false;
    }
    s.frame_left = ZSTD_decompressStream(s.stream.get(), &output, &s.input);
    SH_CHECK(!ZSTD_isError(s.frame_left), kBadInput, "{}: broken zstd data: {}", s.path.string(),
             ZSTD_getErrorName(s.frame_left));
  }
  bytes.resize(before + output.pos);
  return true;
}

bool LineReader::next(std::string& line) {
  size_t end = buffer_.find('\n', at_);
  while (end == std::string::npos) {
    const size_t searched = buffer_.size() - at_;
    SH_CHECK(searched <= kMaxLine, kBadInput, "{}:{}: line longer than {} MiB", path_.string(),
             number_ + 1, kMaxLine >> 20);
    buffer_.erase(0, at_);
    at_ = 0;
    if (!reader_.append(buffer_, kPiece)) {
      if (buffer_.empty()) return false;
      end = buffer_.size();
      break;
    }
    end = buffer_.find('\n', searched);
  }
  line.assign(buffer_, at_, end - at_);
  if (line.ends_with('\r')) line.pop_back();
  at_ = std::min(end + 1, buffer_.size());
  ++number_;
  return true;
}

struct ZstdWriter::State {
  struct Free {
    void operator()(ZSTD_CStream* stream) const { ZSTD_freeCStream(stream); }
  };
  fs::path path, temporary;
  File file;
  std::unique_ptr<ZSTD_CStream, Free> stream;
  std::vector<char> packed;

  // Returns what zstd still holds back.
  size_t pump(ZSTD_inBuffer& input, ZSTD_EndDirective mode) {
    ZSTD_outBuffer output{packed.data(), packed.size(), 0};
    const size_t left = ZSTD_compressStream2(stream.get(), &output, &input, mode);
    SH_ASSERT(!ZSTD_isError(left));
    SH_CHECK(std::fwrite(packed.data(), 1, output.pos, file.get()) == output.pos, kResources,
             "{}: cannot be written: {}", temporary.string(), std::strerror(errno));
    return left;
  }
};

ZstdWriter::ZstdWriter(const fs::path& path) : state_(std::make_unique<State>()) {
  std::error_code failed;
  if (path.has_parent_path()) fs::create_directories(path.parent_path(), failed);
  SH_CHECK(!failed, kResources, "{}: cannot be created: {}", path.parent_path().string(),
           failed.message());
  state_->path = path;
  state_->temporary = path.string() + ".tmp";
  state_->file = open(state_->temporary, "wb", Exit::kResources);
  state_->stream.reset(ZSTD_createCStream());
  SH_ASSERT(state_->stream);
  ZSTD_CCtx_setParameter(state_->stream.get(), ZSTD_c_checksumFlag, 1);
  state_->packed.resize(ZSTD_CStreamOutSize());
}

ZstdWriter::~ZstdWriter() = default;
ZstdWriter::ZstdWriter(ZstdWriter&&) noexcept = default;

void ZstdWriter::write(std::string_view bytes) {
  ZSTD_inBuffer input{bytes.data(), bytes.size(), 0};
  while (input.pos < input.size) state_->pump(input, ZSTD_e_continue);
}

void ZstdWriter::finish() {
  ZSTD_inBuffer nothing{nullptr, 0, 0};
  while (state_->pump(nothing, ZSTD_e_end) > 0) {
  }
  SH_CHECK(std::fflush(state_->file.get()) == 0, kResources, "{}: cannot be written: {}",
           state_->temporary.string(), std::strerror(errno));
  state_->file.reset();
  fsync_path(state_->temporary);
  std::error_code failed;
  fs::rename(state_->temporary, state_->path, failed);
  SH_CHECK(!failed, kResources, "{}: cannot be renamed: {}", state_->temporary.string(),
           failed.message());
}

}  // namespace shenhong
