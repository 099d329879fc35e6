// Generations in the order of arrival, some of them at a time: the threads that wait for the
// engine.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

namespace shenhong {

class GenerationQueue {
 public:
  struct Job {
    std::function<void()> run;  // must not throw
    std::stop_token cancelled;  // a job that is cancelled while it waits may be dropped
  };

  // Room for `capacity` waiting jobs beside the running ones, of which there are up to `parallel`.
  GenerationQueue(size_t capacity, size_t parallel);
  // Drops what waits and returns when the running jobs have.
  ~GenerationQueue();

  // False when it is full.
  bool push(Job job);

  size_t capacity() const { return capacity_; }
  size_t running() const;
  size_t waiting() const;

 private:
  void work(const std::stop_token& stop);
  bool full() const { return jobs_.size() >= capacity_ + (parallel_ - running_); }

  const size_t capacity_, parallel_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Job> jobs_;
  size_t running_ = 0;
  std::vector<std::jthread> threads_;  // the last member: they use all others
};

}  // namespace shenhong
