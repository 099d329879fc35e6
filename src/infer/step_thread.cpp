#include "infer/step_thread.h"

#include <utility>

namespace shenhong {

StepThread::StepThread(Decoder& decoder)
    : scheduler_(decoder), thread_([this](const std::stop_token& stop) { work(stop); }) {}

StepThread::~StepThread() {
  thread_.request_stop();
  thread_.join();
}

void StepThread::run(Continuation& continuation) {
  {
    std::unique_lock lock(mutex_);
    arrivals_.push_back(&continuation);
    inside_.insert(&continuation);
    arrived_.notify_one();
    ended_.wait(lock, [&] { return !inside_.contains(&continuation); });
  }
  if (continuation.error) std::rethrow_exception(continuation.error);
}

void StepThread::work(const std::stop_token& stop) {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (scheduler_.idle()) arrived_.wait(lock, stop, [&] { return !arrivals_.empty(); });
      if (stop.stop_requested()) return;
      for (Continuation* arrival : std::exchange(arrivals_, {})) scheduler_.add(*arrival);
    }
    const auto ended = scheduler_.step();
    if (ended.empty()) continue;
    const std::lock_guard lock(mutex_);
    for (Continuation* continuation : ended) inside_.erase(continuation);
    ended_.notify_all();
  }
}

}  // namespace shenhong
