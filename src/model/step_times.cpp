#include "model/step_times.h"

#include <utility>

#include "core/error.h"

namespace shenhong {
namespace {

using Clock = std::chrono::steady_clock;

thread_local StepTimes* recording = nullptr;

}  // namespace

std::string_view name_of(Part part) {
  switch (part) {
    case Part::kOther:
      return "others";
    case Part::kEmbedding:
      return "embedding";
    case Part::kNorms:
      return "norms";
    case Part::kProjections:
      return "attention projections";
    case Part::kAttention:
      return "attention core";
    case Part::kRouter:
      return "router";
    case Part::kExperts:
      return "experts";
    case Part::kSharedExpert:
      return "shared expert";
    case Part::kDense:
      return "dense feed-forward";
    case Part::kHead:
      return "head and loss";
    case Part::kModules:
      return "prediction modules";
    case Part::kOptimizer:
      return "optimizer";
  }
  SH_ASSERT(false);
  return {};
}

void StepTimes::resume() {
  SH_ASSERT(!recording);
  recording = this;
  since_ = Clock::now();
}

void StepTimes::pause() {
  if (recording != this) return;
  move_to({});
  recording = nullptr;
}

StepTimes::Place StepTimes::move_to(Place place) {
  const auto now = Clock::now();
  seconds_[size_t(place_.part)][size_t(place_.pass)] +=
      std::chrono::duration<double>(now - since_).count();
  since_ = now;
  return std::exchange(place_, place);
}

Timed::Timed(Part part)
    : times_(recording),
      before_(times_ ? times_->move_to({part, times_->place_.pass}) : StepTimes::Place{}) {}

Timed::Timed(Part part, Pass pass)
    : times_(recording), before_(times_ ? times_->move_to({part, pass}) : StepTimes::Place{}) {}

Timed::~Timed() {
  if (times_) times_->move_to(before_);
}

}  // namespace shenhong
