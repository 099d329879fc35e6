// Where the time of a training step goes: by part of the model, forward and backward apart. Times
// are those of the thread that runs the step, from giving work to the others to having it back.
// Nothing recording, a part costs one test of a pointer.
#pragma once

#include <array>
#include <chrono>
#include <string_view>

namespace shenhong {

enum class Part {
  kOther,
  kEmbedding,    // with the memory of n-grams
  kNorms,        // RMSNorm
  kProjections,  // of attention, with the rotation
  kAttention,    // between its projections
  kRouter,
  kExperts,  // routed ones, with gathering and adding up
  kSharedExpert,
  kDense,    // feed-forward parts of layers without experts
  kHead,     // with the loss
  kModules,  // what a prediction module adds to its block
  kOptimizer,
};
constexpr int kParts = int(Part::kOptimizer) + 1;
std::string_view name_of(Part part);

enum class Pass { kForward, kBackward };

class StepTimes {
 public:
  StepTimes() = default;
  ~StepTimes() { pause(); }
  StepTimes(const StepTimes&) = delete;
  StepTimes& operator=(const StepTimes&) = delete;

  // Between the two, what this thread does is added; a thread has one StepTimes at a time.
  void resume();
  void pause();

  double seconds(Part part, Pass pass) const { return seconds_[size_t(part)][size_t(pass)]; }

 private:
  friend class Timed;
  struct Place {
    Part part = Part::kOther;
    Pass pass = Pass::kForward;
  };
  Place move_to(Place place);

  std::array<std::array<double, 2>, kParts> seconds_{};
  Place place_;
  std::chrono::steady_clock::time_point since_;
};

// From here to the end of the scope the time is that of `part`, but for what is timed inside.
class Timed {
 public:
  explicit Timed(Part part);  // in the pass that surrounds it
  Timed(Part part, Pass pass);
  ~Timed();
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  StepTimes* times_;  // null when nothing records
  StepTimes::Place before_;
};

}  // namespace shenhong
