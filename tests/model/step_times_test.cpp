#include "model/step_times.h"

#include <gtest/gtest.h>

#include "toy.h"

namespace shenhong {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Works for a millisecond at least; returns for how long.
double work() {
  const auto start = Clock::now();
  while (seconds_since(start) < 1e-3) {
  }
  return seconds_since(start);
}

double sum(const StepTimes& times, Pass pass) {
  double seconds = 0;
  for (int p = 0; p < kParts; ++p) seconds += times.seconds(Part(p), pass);
  return seconds;
}

// Readings of the clock inside a scope bound its time from below, those around it from above.
TEST(StepTimes, PartsAddUpAndWhatIsInsideTakesItsShareOut) {
  StepTimes times;
  const auto start = Clock::now();
  times.resume();
  double other = work(), experts, shared;
  {
    const Timed outer(Part::kExperts, Pass::kBackward);
    experts = work();
    {
      const Timed inner(Part::kSharedExpert);
      shared = work();
    }
    experts += work();
  }
  other += work();
  times.pause();
  const double whole = seconds_since(start), inside = other + experts + shared;

  const double in_experts = times.seconds(Part::kExperts, Pass::kBackward);
  const double in_shared = times.seconds(Part::kSharedExpert, Pass::kBackward);
  const double in_other = times.seconds(Part::kOther, Pass::kForward);
  EXPECT_GE(in_experts, experts);
  EXPECT_LE(in_experts, whole - shared - other);
  EXPECT_GE(in_shared, shared);
  EXPECT_LE(in_shared, whole - experts - other);
  EXPECT_GE(in_other, other);
  EXPECT_LE(in_other, whole - experts - shared);
  EXPECT_GE(sum(times, Pass::kForward) + sum(times, Pass::kBackward), inside);
  EXPECT_LE(sum(times, Pass::kForward) + sum(times, Pass::kBackward), whole);
  EXPECT_EQ(sum(times, Pass::kForward), in_other);
}

TEST(StepTimes, NothingIsAddedBeforeResumeOrAfterPause) {
  StepTimes times;
  const auto timed_work = [] {
    const Timed timed(Part::kRouter);
    return work();
  };
  timed_work();
  times.resume();
  const double between = timed_work();
  times.pause();
  const double recorded = times.seconds(Part::kRouter, Pass::kForward);
  timed_work();
  EXPECT_EQ(times.seconds(Part::kRouter, Pass::kForward), recorded);
  EXPECT_GE(recorded, between);
  times.resume();
  const double again = timed_work();
  times.pause();
  EXPECT_GE(times.seconds(Part::kRouter, Pass::kForward), recorded + again);
}

TEST(StepTimes, ForwardAndBackwardOfAModelStayApart) {
  const ModelConfig config = toy_config();
  Model<float> model(config);
  model.initialize(1);
  model.allocate_gradients();
  const Batch batch = toy_batch(config, 2, 8);
  const Part both_ways[] = {Part::kEmbedding, Part::kNorms,   Part::kProjections,  Part::kAttention,
                            Part::kRouter,    Part::kExperts, Part::kSharedExpert, Part::kDense,
                            Part::kHead,      Part::kModules};

  StepTimes forward;
  forward.resume();
  model.evaluate(batch);
  forward.pause();
  for (const Part part : both_ways)
    EXPECT_GT(forward.seconds(part, Pass::kForward), 0) << name_of(part);
  EXPECT_EQ(sum(forward, Pass::kBackward), 0);

  StepTimes step;
  step.resume();
  model.forward_backward(batch, 1, 0.3);
  step.pause();
  for (const Part part : both_ways) {
    EXPECT_GT(step.seconds(part, Pass::kForward), 0) << name_of(part);
    EXPECT_GT(step.seconds(part, Pass::kBackward), 0) << name_of(part);
  }
}

}  // namespace
}  // namespace shenhong
