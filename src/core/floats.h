// Floating-point formats of fewer than 32 bits, converted from and to float (techniques 3.1).
//
//   bf16   1 sign, 8 exponent, 7 mantissa bits      f16    IEEE binary16: 1, 5, 10
//   e4m3   1, 4, 3; ±448, no infinity, NaN 0x7f     e5m2   1, 5, 2; IEEE-like
//   e2m1   1, 2, 1; ±{0 .5 1 1.5 2 3 4 6}           e8m0   2^(code - 127), NaN 0xff
// Encoders round to nearest, ties to even.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace shenhong {

inline float bf16_to_float(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }
inline bool bf16_is_finite(uint16_t bits) { return (bits & 0x7f80) != 0x7f80; }

// Beyond the largest finite bf16 it becomes infinity, NaN stays a NaN.
inline uint16_t float_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return uint16_t((bits >> 16) | 0x40);
  return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// Shifted into place the exponent is 112 too small; a product with 2^112 repairs it for normal and
// subnormal numbers alike.
inline float f16_to_float(uint16_t bits) {
  const uint32_t sign = uint32_t(bits & 0x8000) << 16;
  const uint32_t rest = uint32_t(bits & 0x7fff) << 13;
  if (rest >= 0x0f800000u) return std::bit_cast<float>(sign | rest | 0x7f800000u);
  const float magnitude = std::bit_cast<float>(rest) * 0x1p112f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

// The code of |value| without sign bit in a format of `mantissa` bits and exponent bias `bias`, as
// if exponents had no upper end: the caller deals with codes past its largest, which stay in order.
// Numbers below float's own normal range are zero in every format that this serves.
inline uint32_t magnitude_code(float value, int mantissa, int bias) {
  const uint32_t bits = std::bit_cast<uint32_t>(value) & 0x7fffffffu;
  const int exponent = int(bits >> 23) - 127, least = 1 - bias;
  // The significand, as a whole number of units of the last place that is kept.
  const int shift = 23 - mantissa + std::max(0, least - exponent);
  if (exponent == -127 || shift > 25) return 0;
  const uint32_t significand = (bits & 0x7fffffu) | 0x800000u;
  const uint32_t odd = significand >> shift & 1;
  const uint32_t units = (significand + (1u << (shift - 1)) - 1 + odd) >> shift;
  // A significand that rounds up to the next power of two carries into the exponent by itself.
  return (uint32_t(std::max(exponent, least) - least) << mantissa) + units;
}

inline uint32_t sign_of(float value) { return std::bit_cast<uint32_t>(value) >> 31; }

// Beyond the largest finite f16 it becomes infinity, NaN stays a NaN.
inline uint16_t float_to_f16(float value) {
  const uint32_t sign = sign_of(value) << 15;
  if (value != value) return uint16_t(sign | 0x7e00);
  return uint16_t(sign | std::min(magnitude_code(value, 10, 15), 0x7c00u));
}

// Saturates: infinity becomes ±448; NaN stays a NaN.
inline uint8_t float_to_e4m3(float value) {
  const uint32_t sign = sign_of(value) << 7;
  if (value != value) return uint8_t(sign | 0x7f);
  return uint8_t(sign | std::min(magnitude_code(value, 3, 7), 0x7eu));
}

// Half a step beyond the largest finite one it becomes infinity; NaN stays a NaN.
inline uint8_t float_to_e5m2(float value) {
  const uint32_t sign = sign_of(value) << 7;
  if (value != value) return uint8_t(sign | 0x7f);
  return uint8_t(sign | std::min(magnitude_code(value, 2, 15), 0x7cu));
}

// Saturates at ±6; NaN, which the format lacks, becomes 6, too.
inline uint8_t float_to_e2m1(float value) {
  return uint8_t(sign_of(value) << 3 | std::min(magnitude_code(value, 1, 1), 7u));
}

inline float e5m2_to_float(uint8_t code) { return f16_to_float(uint16_t(code << 8)); }

inline float e4m3_to_float(uint8_t code) {
  // As an f16 it is 2^8 too small, except for the one code that is not a number.
  if ((code & 0x7f) == 0x7f) return f16_to_float(uint16_t((code & 0x80) << 8 | 0x7e00));
  return f16_to_float(uint16_t((code & 0x80) << 8 | (code & 0x7f) << 7)) * 0x1p8f;
}

inline bool e4m3_is_finite(uint8_t code) { return (code & 0x7f) != 0x7f; }

inline float e2m1_to_float(uint8_t code) {
  constexpr float kMagnitudes[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  return code & 8 ? -kMagnitudes[code & 7] : kMagnitudes[code & 7];
}

inline float e8m0_to_float(uint8_t code) {
  if (code == 0xff) return f16_to_float(0x7e00);
  return std::bit_cast<float>(code == 0 ? 0x00400000u : uint32_t(code) << 23);
}

// The least power of two that is at least `value`, which is finite and not negative.
inline uint8_t ceil_e8m0(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (bits <= 0x00400000u) return 0;
  return uint8_t(std::min((bits >> 23) + ((bits & 0x7fffffu) != 0), 0xfeu));
}

}  // namespace shenhong
