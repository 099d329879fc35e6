#include "core/floats.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/random.h"

namespace shenhong {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(Floats, are_known_to_be_finite_by_their_codes) {
  for (uint32_t code = 0; code < 65536; ++code)
    ASSERT_EQ(bf16_is_finite(uint16_t(code)), std::isfinite(bf16_to_float(uint16_t(code)))) << code;
  for (uint32_t code = 0; code < 256; ++code)
    ASSERT_EQ(e4m3_is_finite(uint8_t(code)), std::isfinite(e4m3_to_float(uint8_t(code)))) << code;
}

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

TEST(F16, every_code_survives_the_round_trip) {
  for (uint32_t code = 0; code < 65536; ++code) {
    const float value = f16_to_float(uint16_t(code));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(f16_to_float(float_to_f16(value))));
    } else {
      EXPECT_EQ(float_to_f16(value), code);
    }
  }
}

// Between any two neighbours: the middle goes to the even code, its own neighbours to the nearer.
TEST(F16, rounds_to_nearest_and_ties_to_even) {
  for (uint16_t code = 0; code < 0x7bff; ++code) {
    const float middle = (f16_to_float(code) + f16_to_float(uint16_t(code + 1))) / 2;
    ASSERT_EQ(float_to_f16(middle), code + (code & 1)) << code;
    ASSERT_EQ(float_to_f16(std::nextafter(middle, 0.0f)), code);
    ASSERT_EQ(float_to_f16(std::nextafter(middle, kInfinity)), code + 1);
    ASSERT_EQ(float_to_f16(-middle), 0x8000 + code + (code & 1));
  }
  EXPECT_EQ(float_to_f16(std::nextafter(65520.0f, 0.0f)), 0x7bff);
  EXPECT_EQ(float_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_f16(65536.0f), 0x7c00);
  EXPECT_EQ(float_to_f16(-std::numeric_limits<float>::max()), 0xfc00);
  EXPECT_EQ(float_to_f16(-kInfinity), 0xfc00);
  EXPECT_EQ(float_to_f16(std::numeric_limits<float>::denorm_min()), 0);
}

// A format of at most eight bits by its definition (OCP 8-bit floats and microscaling formats 1.0).
struct SmallFloat {
  const char* name;
  int exponent_bits, mantissa_bits, bias;
  uint8_t largest;  // magnitude code of the largest finite number
  bool saturates;
  uint8_t (*encode)(float);
  float (*decode)(uint8_t);

  int sign_bit() const { return 1 << (exponent_bits + mantissa_bits); }
  double value(int magnitude) const {
    const int exponent = magnitude >> mantissa_bits, mantissa = magnitude % (1 << mantissa_bits);
    return exponent == 0
               ? std::ldexp(mantissa, 1 - bias - mantissa_bits)
               : std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
  }
};

class SmallFloats : public testing::TestWithParam<SmallFloat> {};

TEST_P(SmallFloats, every_code_has_its_value_and_survives_the_round_trip) {
  const SmallFloat& f = GetParam();
  for (int code = 0; code < 2 * f.sign_bit(); ++code) {
    const int magnitude = code % f.sign_bit();
    const float value = f.decode(uint8_t(code));
    if (magnitude > f.largest) {
      EXPECT_FALSE(std::isfinite(value)) << code;
      EXPECT_TRUE(f.encode(value) == code || std::isnan(f.decode(f.encode(value)))) << code;
      continue;
    }
    EXPECT_EQ(value, (code < f.sign_bit() ? 1 : -1) * f.value(magnitude)) << code;
    EXPECT_EQ(std::signbit(value), code >= f.sign_bit()) << code;
    EXPECT_EQ(f.encode(value), code);
  }
}

TEST_P(SmallFloats, rounds_to_nearest_and_ties_to_even) {
  const SmallFloat& f = GetParam();
  for (int code = 0; code < f.largest; ++code) {
    const float low = f.decode(uint8_t(code)), high = f.decode(uint8_t(code + 1));
    const float tie = (low + high) / 2;
    EXPECT_EQ(f.encode(tie), code % 2 == 0 ? code : code + 1) << code;
    EXPECT_EQ(f.encode(std::nextafter(tie, low)), code);
    EXPECT_EQ(f.encode(std::nextafter(tie, high)), code + 1);
    EXPECT_EQ(f.encode(-std::nextafter(tie, high)), f.sign_bit() + code + 1);
  }
  EXPECT_EQ(f.encode(1e-30f), 0);
}

TEST_P(SmallFloats, saturates_or_overflows_as_the_format_says) {
  const SmallFloat& f = GetParam();
  const float most = f.decode(f.largest);
  for (const float huge : {most * 2, 1e30f, kInfinity}) {
    if (f.saturates) {
      EXPECT_EQ(f.encode(huge), f.largest);
      EXPECT_EQ(f.encode(-huge), f.sign_bit() + f.largest);
    } else {
      EXPECT_EQ(f.decode(f.encode(huge)), kInfinity);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Formats, SmallFloats,
    testing::Values(SmallFloat{"e4m3", 4, 3, 7, 0x7e, true, float_to_e4m3, e4m3_to_float},
                    SmallFloat{"e5m2", 5, 2, 15, 0x7b, false, float_to_e5m2, e5m2_to_float},
                    SmallFloat{"e2m1", 2, 1, 1, 7, true, float_to_e2m1, e2m1_to_float}),
    [](const auto& format) { return format.param.name; });

TEST(E8m0, every_code_is_a_power_of_two_and_ceil_finds_the_next) {
  for (int code = 0; code < 255; ++code) {
    const float value = e8m0_to_float(uint8_t(code));
    EXPECT_EQ(double(value), std::ldexp(1.0, code - 127));
    EXPECT_EQ(ceil_e8m0(value), code);
    if (code == 254) continue;
    EXPECT_EQ(ceil_e8m0(value * 1.25f), code + 1);
  }
  EXPECT_TRUE(std::isnan(e8m0_to_float(0xff)));
  EXPECT_EQ(ceil_e8m0(0), 0);
  EXPECT_EQ(ceil_e8m0(std::numeric_limits<float>::max()), 254);
}

}  // namespace
}  // namespace shenhong
