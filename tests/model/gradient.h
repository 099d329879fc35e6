// Central differences in double: the proof of every hand-written backward pass.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "core/random.h"
#include "model/parameter.h"

namespace shenhong {

// Compares `analytic` with d loss / d value by central differences, at up to `probes` places spread
// over the tensor. The error is relative to the tensor's largest gradient, bounded by 1e-6 (A12).
inline void expect_gradient(const std::string& name, Buffer<double>& value,
                            const Buffer<double>& analytic, const std::function<double()>& loss,
                            int probes = 24, double bound = 1e-6) {
  double scale = 0;
  for (const double g : analytic) scale = std::max(scale, std::abs(g));
  ASSERT_GT(scale, 0) << name << ": no gradient at all";
  const int64_t n = value.size();
  for (int probe = 0; probe < std::min<int64_t>(probes, n); ++probe) {
    const int64_t i = n <= probes ? probe : int64_t(uniform_below(n, 1, fnv1a(name), probe));
    const double kept = value[i], h = 1e-5 * std::max(1.0, std::abs(kept));
    // Five points: the error of order h⁴ leaves rounding as the only one that counts.
    const auto at = [&](double offset) {
      value[i] = kept + offset;
      return loss();
    };
    const double step = 40 * h;
    const double numeric =
        (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step);
    value[i] = kept;
    EXPECT_LE(std::abs(numeric - analytic[i]), bound * scale)
        << name << "[" << i << "]: analytic " << analytic[i] << ", numeric " << numeric
        << ", largest " << scale;
  }
}

template <class Real>
void fill_normal(Buffer<Real>& x, double std, uint64_t stream) {
  for (int64_t i = 0; i < x.size(); ++i) x[i] = Real(std * normal(11, stream, i));
}

}  // namespace shenhong
