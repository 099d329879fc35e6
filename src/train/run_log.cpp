#include "train/run_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"
#include "train/run_plot.h"

namespace shenhong {
namespace {

constexpr const char* kLog = "log.jsonl";

std::string text_of(const Json& line) { return dump_json(line) + "\n"; }

}  // namespace

std::vector<Json> read_run_log(const fs::path& path) {
  std::vector<Json> lines;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return lines;
  const std::string text = read_file(path);
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != text.npos; begin = end + 1) {
    try {
      Json line = parse_json(std::string_view(text).substr(begin, end - begin), path.string());
      if (line.is_object()) lines.push_back(std::move(line));
    } catch (const Error&) {
      // A line is told or it is not; one that a crash broke must not stop the run from going on.
    }
  }
  return lines;
}

RunLog::RunLog(const fs::path& directory, int64_t step) : directory_(directory) {
  const fs::path path = directory / kLog;
  std::string kept;
  for (const Json& line : read_run_log(path)) {
    const auto at = line.find("step");
    if (at == line.end() || !at->is_number() || at->get<double>() <= double(step))
      kept += text_of(line);
  }
  write_file(path, kept);
  fd_ = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  SH_CHECK(fd_ >= 0, kResources, "{}: cannot be opened: {}", path.string(), std::strerror(errno));
}

RunLog::~RunLog() { ::close(fd_); }

void RunLog::write(const Json& line) {
  const std::string text = text_of(line);
  for (size_t done = 0; done < text.size();) {
    const ssize_t put = ::write(fd_, text.data() + done, text.size() - done);
    if (put < 0 && errno == EINTR) continue;
    SH_CHECK(put >= 0, kResources, "{}: cannot be written: {}", (directory_ / kLog).string(),
             std::strerror(errno));
    done += size_t(put);
  }
  if (line.value("kind", "") == "validation") finish();
}

void RunLog::finish() {
  write_file(directory_ / "plot.html",
             run_plot_html(read_run_log(directory_ / kLog),
                           fs::absolute(directory_).lexically_normal().filename().string()));
}

}  // namespace shenhong
