#include "core/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "core/error.h"

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

INSTANTIATE_TEST_SUITE_P(Threads, Parallel, testing::Values(1, 2, 4));

}  // namespace
}  // namespace shenhong
