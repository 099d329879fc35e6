#include "serve/generation_queue.h"

#include <utility>

namespace shenhong {

GenerationQueue::GenerationQueue(size_t capacity, size_t parallel)
    : capacity_(capacity), parallel_(parallel) {
  for (size_t i = 0; i < parallel; ++i)
    threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
}

GenerationQueue::~GenerationQueue() {
  for (std::jthread& thread : threads_) thread.request_stop();
}

bool GenerationQueue::push(Job job) {
  std::vector<Job> dropped;  // destroyed without the lock: a job may own anything
  const std::lock_guard lock(mutex_);
  if (full()) {
    std::deque<Job> kept;
    for (Job& waiting : jobs_) {
      if (waiting.cancelled.stop_requested()) {
        dropped.push_back(std::move(waiting));
      } else {
        kept.push_back(std::move(waiting));
      }
    }
    jobs_ = std::move(kept);
    if (full()) return false;
  }
  jobs_.push_back(std::move(job));
  changed_.notify_one();
  return true;
}

void GenerationQueue::work(const std::stop_token& stop) {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, stop, [&] { return !jobs_.empty(); });
      if (stop.stop_requested()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      ++running_;
    }
    job.run();
    job = {};  // what it owns goes before it stops counting as running
    const std::lock_guard lock(mutex_);
    --running_;
  }
}

size_t GenerationQueue::running() const {
  const std::lock_guard lock(mutex_);
  return running_;
}

size_t GenerationQueue::waiting() const {
  const std::lock_guard lock(mutex_);
  return jobs_.size();
}

}  // namespace shenhong
