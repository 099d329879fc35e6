// The thread that steps: callers on other threads hand in a sequence each and wait until it ends,
// and all of them are decoded together.
#pragma once

#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "infer/scheduler.h"

namespace shenhong {

class StepThread {
 public:
  explicit StepThread(Decoder& decoder);
  // Nobody may be waiting any more.
  ~StepThread();

  // From any thread; returns when it has ended. Throws what ended it.
  void run(Continuation& continuation);

 private:
  void work(const std::stop_token& stop);

  Scheduler scheduler_;  // the thread's alone
  std::mutex mutex_;
  std::condition_variable_any arrived_, ended_;
  std::vector<Continuation*> arrivals_;
  std::set<Continuation*> inside_;  // arrived and not yet ended
  std::jthread thread_;             // the last member: it uses all others
};

}  // namespace shenhong
