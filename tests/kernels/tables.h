// What the tests of this floor share.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "kernels/kernels.h"

namespace shenhong {

// Runs a test once for every table of this machine.
class EveryTable : public testing::TestWithParam<const Kernels<float>*> {
 protected:
  const Kernels<float>& table() const { return *GetParam(); }
};

inline auto every_table() {
  const auto tables = kernels_available();
  return testing::ValuesIn(tables.begin(), tables.end());
}
inline std::string table_name(const testing::TestParamInfo<const Kernels<float>*>& info) {
  return std::string(info.param->name);
}

// One element, below, at and past the vectors of every instruction set, and real widths.
inline const std::vector<int> kLengths = {1,  2,  3,  4,  5,  7,  8,   9,   15,  16,  17,
                                          31, 32, 33, 63, 64, 65, 100, 256, 257, 1024};

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  Buffer<float> normal(int64_t n, float scale = 1) {
    std::normal_distribution<float> draw(0, scale);
    return filled(n, [&] { return draw(engine_); });
  }
  // Small whole numbers: sums of their products are exact in any order.
  Buffer<float> whole(int64_t n) {
    std::uniform_int_distribution<int> draw(-4, 4);
    return filled(n, [&] { return float(draw(engine_)); });
  }

 private:
  template <class Draw>
  static Buffer<float> filled(int64_t n, const Draw& draw) {
    Buffer<float> out(n);
    for (float& x : out) x = draw();
    return out;
  }
  std::mt19937 engine_;
};

// |a - b| <= tolerance · max(1, |b|) everywhere.
inline void expect_close(const Buffer<float>& a, const Buffer<float>& b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (int64_t i = 0; i < a.size(); ++i) {
    ASSERT_NEAR(a[i], b[i], tolerance * std::max(1.0, std::abs(double(b[i])))) << "at " << i;
  }
}

inline void expect_same_bits(const Buffer<float>& a, const Buffer<float>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (int64_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(a[i]), std::bit_cast<uint32_t>(b[i])) << "at " << i;
  }
}

}  // namespace shenhong
