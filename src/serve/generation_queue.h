// One generation at a time, in the order of arrival: the thread that owns the engine.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>

namespace shenhong {

class GenerationQueue {
 public:
  struct Job {
    std::function<void()> run;  // must not throw
    std::stop_token cancelled;  // a job that is cancelled while it waits may be dropped
  };

  // Room for `capacity` waiting jobs beside the running one.
  explicit GenerationQueue(size_t capacity);
  // Drops what waits and returns when the running job has.
  ~GenerationQueue();

  // False when it is full.
  bool push(Job job);

  size_t capacity() const { return capacity_; }
  size_t running() const;  // 0 or 1
  size_t waiting() const;

 private:
  void work(const std::stop_token& stop);

  const size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Job> jobs_;
  size_t running_ = 0;
  std::jthread thread_;  // the last member: it uses all others
};

}  // namespace shenhong
