// The log of a run: <run>/log.jsonl, one JSON object a line, and <run>/plot.html drawn from it.
//
// Lines hold "kind" and "step" beside their own keys; train/run_plot says which ones it draws.
// A killed run leaves at most one torn line, and lines beyond its last checkpoint: a restart takes
// both away, so that the log of a resumed run tells each step once.
#pragma once

#include <vector>

#include "core/file.h"
#include "core/json.h"

namespace shenhong {

class RunLog {
 public:
  // Opens the log of a run that goes on after `step` steps. Error(kResources) when it cannot be
  // written.
  RunLog(const fs::path& directory, int64_t step);
  ~RunLog();
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;

  // Appends one line, whole as far as other readers see. Draws the plot anew after a validation.
  void write(const Json& line);
  // Draws the plot.
  void finish();

 private:
  fs::path directory_;
  int fd_ = -1;
};

// The lines that are whole; a torn or broken one is left out. No file is no lines.
std::vector<Json> read_run_log(const fs::path& path);

}  // namespace shenhong
