#include "core/parallel.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"

namespace shenhong {
namespace {

// How long an idle worker spins before it parks. Training issues thousands of short loops a
// second, where waking a parked thread would cost more than the loop; beyond that, sharing the
// machine politely matters more.
constexpr int kSpins = 4000;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

struct Loop {
  int64_t n = 0;
  const std::function<void(int64_t)>* run = nullptr;
  std::atomic<int64_t> next{0};
  std::mutex failure_mutex;
  int64_t failed_item = std::numeric_limits<int64_t>::max();
  std::exception_ptr failure;

  void work() {
    for (;;) {
      const int64_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= n) return;
      try {
        (*run)(i);
      } catch (...) {
        const std::lock_guard lock(failure_mutex);
        if (i < failed_item) failed_item = i, failure = std::current_exception();
      }
    }
  }
};

thread_local bool inside_loop = false;

class Pool {
 public:
  explicit Pool(int threads) {
    for (int i = 1; i < threads; ++i)
      workers_.emplace_back([this](std::stop_token stop) { serve(stop); });
  }
  ~Pool() {
    for (auto& worker : workers_) worker.request_stop();
    const std::lock_guard lock(mutex_);
    generation_.fetch_add(1);
    wake_.notify_all();
  }
  int threads() const { return int(workers_.size()) + 1; }

  void run(int64_t n, const std::function<void(int64_t)>& body) {
    const std::lock_guard one_loop_at_a_time(caller_mutex_);
    Loop loop;
    loop.n = n;
    loop.run = &body;
    loop_ = &loop;
    busy_.store(int(workers_.size()), std::memory_order_relaxed);
    {
      const std::lock_guard lock(mutex_);
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    inside_loop = true;
    loop.work();
    inside_loop = false;
    for (int spins = 0; busy_.load(std::memory_order_acquire) != 0; ++spins)
      spins < kSpins ? relax() : std::this_thread::yield();
    if (loop.failure) std::rethrow_exception(loop.failure);
  }

 private:
  void serve(std::stop_token stop) {
    inside_loop = true;
    uint64_t seen = 0;
    for (;;) {
      for (int spins = 0; spins < kSpins && generation_.load(std::memory_order_acquire) == seen;
           ++spins)
        relax();
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return generation_.load() != seen; });
        seen = generation_.load();
      }
      if (stop.stop_requested()) return;
      loop_->work();
      busy_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::mutex caller_mutex_, mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> busy_{0};
  Loop* loop_ = nullptr;
  std::vector<std::jthread> workers_;  // last: its threads use everything above
};

int threads_wanted() {
  const char* text = std::getenv("SHENHONG_THREADS");
  if (!text) return std::max(1, int(std::thread::hardware_concurrency()));
  char* end = nullptr;
  const long threads = std::strtol(text, &end, 10);
  SH_CHECK(*text && !*end && threads >= 1 && threads <= 1024, kUsage,
           "SHENHONG_THREADS = '{}': want a number from 1 to 1024", text);
  return int(threads);
}

std::unique_ptr<Pool>& pool() {
  static std::unique_ptr<Pool> instance = std::make_unique<Pool>(threads_wanted());
  return instance;
}

}  // namespace

void parallel_for(int64_t n, const std::function<void(int64_t)>& run) {
  if (n <= 0) return;
  if (n == 1 || inside_loop || thread_count() == 1) {
    for (int64_t i = 0; i < n; ++i) run(i);
    return;
  }
  pool()->run(n, run);
}

int thread_count() { return pool()->threads(); }

void set_thread_count(int threads) {
  SH_ASSERT(threads >= 1 && !inside_loop);
  pool() = std::make_unique<Pool>(threads);
}

}  // namespace shenhong
