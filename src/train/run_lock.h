// One trainer per run directory.
#pragma once

#include "core/file.h"

namespace shenhong {

// Holds `directory`/.lock while it lives; the system lets go of it when the process dies, however
// that happens. Creates the directory. Error(kUsage) names the process that holds it already.
class RunLock {
 public:
  explicit RunLock(const fs::path& directory);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  int fd_;
};

}  // namespace shenhong
