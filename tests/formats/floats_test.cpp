#include "formats/floats.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/random.h"

namespace shenhong {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(Bf16, every_code_survives_the_round_trip) {
  for (uint32_t code = 0; code < 65536; ++code) {
    const float value = bf16_to_float(uint16_t(code));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(value))));
    } else {
      EXPECT_EQ(float_to_bf16(value), code);
    }
  }
}

TEST(Bf16, rounds_to_nearest_and_ties_to_even) {
  EXPECT_EQ(float_to_bf16(1 + 0x1p-8f), 0x3f80);             // tie, down to even
  EXPECT_EQ(float_to_bf16(1 + 3 * 0x1p-8f), 0x3f82);         // tie, up to even
  EXPECT_EQ(float_to_bf16(1 + 0x1p-8f + 0x1p-23f), 0x3f81);  // just above the tie
  EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(float_to_bf16(-kInfinity), 0xff80);
  for (uint64_t i = 0; i < 2000; ++i) {
    const float value = float(normal(1, 0, i));
    const float rounded = bf16_to_float(float_to_bf16(value));
    EXPECT_LE(std::abs(rounded - value), std::abs(value) * 0x1p-8f);
  }
}

TEST(F16, every_code_has_its_ieee_value) {
  for (uint32_t code = 0; code < 65536; ++code) {
    const int exponent = int(code >> 10) & 31, mantissa = int(code & 1023);
    const float sign = code & 0x8000 ? -1.0f : 1.0f;
    const float value = f16_to_float(uint16_t(code));
    EXPECT_EQ(std::signbit(value), sign < 0);
    if (exponent == 31) {
      EXPECT_EQ(std::isnan(value), mantissa != 0);
      EXPECT_EQ(value == sign * kInfinity, mantissa == 0);
    } else if (exponent == 0) {
      EXPECT_EQ(value, sign * std::ldexp(float(mantissa), -24));
    } else {
      EXPECT_EQ(value, sign * std::ldexp(float(1024 + mantissa), exponent - 25));
    }
  }
}

}  // namespace
}  // namespace shenhong
