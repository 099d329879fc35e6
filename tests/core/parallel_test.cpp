#include "core/parallel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "core/error.h"
#include "core/parallel_ahead.h"

namespace shenhong {
namespace {

class Parallel : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { set_thread_count(GetParam()); }
};

TEST_P(Parallel, every_item_runs_exactly_once) {
  std::vector<std::atomic<int>> runs(1000);
  parallel_for(1000, [&](int64_t i) { ++runs[i]; });
  for (const auto& count : runs) EXPECT_EQ(count, 1);
}

TEST_P(Parallel, a_nested_loop_runs_inline) {
  std::atomic<int> runs{0};
  parallel_for(10, [&](int64_t) { parallel_for(10, [&](int64_t) { ++runs; }); });
  EXPECT_EQ(runs, 100);
}

TEST_P(Parallel, the_lowest_failing_items_exception_reaches_the_caller) {
  try {
    parallel_for(100, [&](int64_t i) { SH_CHECK(i != 13 && i != 77, kFailure, "item {}", i); });
    FAIL() << "no exception";
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "item 13");
  }
  std::atomic<int> runs{0};
  parallel_for(8, [&](int64_t) { ++runs; });  // the pool still works
  EXPECT_EQ(runs, 8);
}

TEST_P(Parallel, ranges_cover_everything_once) {
  std::vector<std::atomic<int>> runs(101);
  parallel_ranges(101, 10, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) ++runs[i];
  });
  for (const auto& count : runs) EXPECT_EQ(count, 1);
  parallel_ranges(0, 10, [&](int64_t, int64_t) { FAIL(); });
}

TEST_P(Parallel, an_item_knows_the_next_one_of_its_thread) {
  for (const int64_t n : {0, 1, 2, 3, 4, 5, 1000}) {
    std::vector<std::atomic<int>> runs(static_cast<size_t>(n));
    std::vector<std::thread::id> run_by(size_t(n) + 1), announced_by(size_t(n) + 1);
    std::atomic<int64_t> last{0};
    parallel_for_ahead(n, [&](int64_t i, int64_t next) {
      ++runs[size_t(i)];
      run_by[size_t(i)] = std::this_thread::get_id();
      if (next == n)
        ++last;
      else
        announced_by[size_t(next)] = std::this_thread::get_id();
    });
    const int64_t first = std::min<int64_t>(thread_count(), n);
    EXPECT_EQ(last, first);
    for (int64_t i = 0; i < n; ++i) {
      EXPECT_EQ(runs[size_t(i)], 1) << i << " of " << n;
      EXPECT_EQ(announced_by[size_t(i)], i < first ? std::thread::id() : run_by[size_t(i)]) << i;
    }
  }
}

// Each waits until all have begun.
TEST_P(Parallel, as_many_items_as_threads_run_at_the_same_time) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  std::atomic<int> begun{0};
  parallel_for_ahead(thread_count(), [&](int64_t, int64_t) {
    ++begun;
    while (begun < thread_count() && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
    EXPECT_EQ(begun, thread_count());
  });
}

INSTANTIATE_TEST_SUITE_P(Threads, Parallel, testing::Values(1, 2, 4));

}  // namespace
}  // namespace shenhong
