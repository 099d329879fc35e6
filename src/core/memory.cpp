#include "core/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace shenhong {
namespace {

// The number behind `key` in a file of "key number" or "key: number kB" lines; -1 when it is not
// there.
int64_t number_of(const char* path, const std::string& key) {
  std::ifstream file(path);
  std::string word;
  for (int64_t value; file >> word; file.ignore(std::numeric_limits<std::streamsize>::max(), '\n'))
    if (word == key && file >> value) return value;
  return -1;
}

int64_t number_in(const char* path) {
  std::ifstream file(path);
  int64_t value = -1;
  return file >> value ? value : -1;  // "max" is no number
}

}  // namespace

int64_t available_memory_bytes() {
  const int64_t kib = number_of("/proc/meminfo", "MemAvailable:");
  const int64_t machine = kib < 0 ? 0 : kib * 1024;
  const int64_t limit = number_in("/sys/fs/cgroup/memory.max");
  const int64_t used = number_of("/sys/fs/cgroup/memory.stat", "anon");
  if (limit < 0 || used < 0) return machine;
  const int64_t group = limit > used ? limit - used : 1;
  return machine > 0 ? std::min(machine, group) : group;
}

}  // namespace shenhong
