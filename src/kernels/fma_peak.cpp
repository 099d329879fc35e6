#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/fma_peak.cpp"
#include "hwy/foreach_target.h"  // compiles the rest of this file once per instruction set

// clang-format off: Highway wants this order
#include "kernels/ceiling.h"

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "hwy/highway.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace shenhong::HWY_NAMESPACE {

// Ten chains hide the latency of two units and fit any register file. Returns the operations done.
double run_fmas(int64_t steps, float* sink) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<float> d;
  const auto factor = hn::Set(d, *sink), addend = hn::Set(d, 1 - *sink);
  // Different starts: the compiler computes equal chains only once.
  const auto start = [&](float x) HWY_ATTR { return hn::Set(d, x); };
  auto s0 = start(0), s1 = start(1), s2 = start(2), s3 = start(3), s4 = start(4), s5 = start(5),
       s6 = start(6), s7 = start(7), s8 = start(8), s9 = start(9);
  for (int64_t i = 0; i < steps; ++i) {
    s0 = hn::MulAdd(s0, factor, addend), s1 = hn::MulAdd(s1, factor, addend);
    s2 = hn::MulAdd(s2, factor, addend), s3 = hn::MulAdd(s3, factor, addend);
    s4 = hn::MulAdd(s4, factor, addend), s5 = hn::MulAdd(s5, factor, addend);
    s6 = hn::MulAdd(s6, factor, addend), s7 = hn::MulAdd(s7, factor, addend);
    s8 = hn::MulAdd(s8, factor, addend), s9 = hn::MulAdd(s9, factor, addend);
  }
  // No list of vectors: SVE's cannot lie in one.
  const auto add = [&](auto... s) HWY_ATTR { ((s0 = hn::Add(s0, s)), ...); };
  add(s1, s2, s3, s4, s5, s6, s7, s8, s9);
  *sink = std::min(0.5f, hn::GetLane(s0));
  return double(steps) * 10 * 2 * double(hn::Lanes(d));
}

}  // namespace shenhong::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace shenhong {

HWY_EXPORT(run_fmas);

double measure_fma_peak_gflops() {
  using Clock = std::chrono::steady_clock;
  double best = 0;
  float sink = 0.5f;
  for (int i = 0; i < 200; ++i) {
    const auto start = Clock::now();
    const double operations = HWY_DYNAMIC_DISPATCH(run_fmas)(100'000, &sink);
    best = std::max(best, operations / std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best / 1e9;
}

}  // namespace shenhong
#endif
