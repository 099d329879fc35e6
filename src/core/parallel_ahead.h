// A loop over all threads whose items know what their thread runs next.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "core/parallel.h"

namespace shenhong {

// As parallel_for, but calls run(i, next): a thread takes its next item before it begins one, so
// that it knows what to fetch meanwhile; n where none is left. No thread takes one ahead of those
// that are there for the others to begin with.
template <class Run>
void parallel_for_ahead(int64_t n, Run&& run) {
  const int64_t threads = std::min<int64_t>(thread_count(), n);
  std::atomic<int64_t> taken{threads};
  parallel_for(threads, [&](int64_t i) {
    while (i < n) {
      const int64_t next = taken.fetch_add(1);
      run(i, std::min(next, n));
      i = next;
    }
  });
}

}  // namespace shenhong
