#include "core/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace shenhong {
namespace {

std::string duration(double seconds) {
  const int64_t s = int64_t(seconds + 0.5);
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

}  // namespace

Progress::Progress(std::string what, int64_t total)
    : what_(std::move(what)),
      total_(total),
      terminal_(::isatty(STDERR_FILENO)),
      start_(Clock::now()),
      printed_(start_) {}

Progress::~Progress() {
  if (!finished_ && terminal_) std::fputc('\n', stderr);
}

void Progress::update(int64_t done, const std::string& detail) {
  done_ = done;
  detail_ = detail;
  const auto interval =
      terminal_ ? std::chrono::milliseconds(200) : std::chrono::milliseconds(10'000);
  if (Clock::now() - printed_ >= interval) print(false);
}

void Progress::finish(const std::string& detail) {
  detail_ = detail;
  if (total_ > 0) done_ = total_;
  print(true);
  finished_ = true;
}

void Progress::print(bool last) {
  printed_ = Clock::now();
  const double elapsed = std::chrono::duration<double>(printed_ - start_).count();
  std::string line = what_;
  if (total_ > 0) {
    const double share = std::clamp(double(done_) / double(total_), 0.0, 1.0);
    if (terminal_) {
      const int filled = int(share * 24);
      line += " [";
      for (int i = 0; i < 24; ++i) line += i < filled ? "█" : "·";
      line += "]";
    }
    line += fmt::format(" {:.0f}%", share * 100);
    if (!last && share > 0) line += fmt::format(", {} left", duration(elapsed / share - elapsed));
  } else {
    line += fmt::format(" {}", done_);
  }
  if (last) line += fmt::format(" in {}", duration(elapsed));
  if (!detail_.empty()) line += "  " + detail_;
  if (terminal_) {
    fmt::print(stderr, "\r\033[K{}{}", line, last ? "\n" : "");
  } else {
    fmt::print(stderr, "{}\n", line);
  }
  std::fflush(stderr);
}

}  // namespace shenhong
