// Progress of a long job on stderr: a bar on a terminal, a plain line every 10 s elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace shenhong {

class Progress {
 public:
  // `total` <= 0: unknown, no bar and no ETA.
  Progress(std::string what, int64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` so far; `detail` stands behind the bar. Cheap to call often.
  void update(int64_t done, const std::string& detail = "");
  void finish(const std::string& detail = "");

 private:
  void print(bool last);
  using Clock = std::chrono::steady_clock;
  std::string what_, detail_;
  int64_t total_, done_ = 0;
  bool terminal_, finished_ = false;
  Clock::time_point start_, printed_;
};

}  // namespace shenhong
