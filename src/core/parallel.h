// Threads. One pool for the process; its size is SHENHONG_THREADS or the number of cores.
//
// The rule that keeps one thread and n threads equal bit for bit: the work items, and the order of
// additions inside each, never depend on how many threads there are. Callers split by sizes only.
#pragma once

#include <cstdint>
#include <functional>

namespace shenhong {

// Calls run(i) for i in [0, n), each exactly once, on any thread; returns when all are done.
// Items are handed out one at a time in ascending order. A call from inside an item runs inline.
// The exception of the lowest-numbered failing item reaches the caller.
void parallel_for(int64_t n, const std::function<void(int64_t)>& run);

// Calls run(begin, end) over [0, n) cut into pieces of `grain` (the last may be shorter). What is
// no more than one piece costs no more than the call.
template <class Run>
void parallel_ranges(int64_t n, int64_t grain, Run&& run) {
  if (n > 0 && n <= grain) return run(0, n);
  parallel_for((n + grain - 1) / grain, [&](int64_t piece) {
    const int64_t begin = piece * grain;
    run(begin, begin + grain < n ? begin + grain : n);
  });
}

// Multiply-adds: with fewer, waking another thread costs more than it brings.
constexpr int64_t kWorthSharing = 1 << 18;

// Threads that parallel_for uses, the caller included; at least 1.
int thread_count();

// For tests and --threads: from now on this many. Not to be called inside parallel_for.
void set_thread_count(int threads);

}  // namespace shenhong
