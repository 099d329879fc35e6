#include "formats/gguf_blocks.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/floats.h"

static_assert(std::endian::native == std::endian::little, "blocks are little endian");

namespace shenhong {
namespace {

constexpr BlockLayout kLayouts[] = {
    {BlockType::kF32, "F32", 1, 4},       {BlockType::kF16, "F16", 1, 2},
    {BlockType::kBF16, "BF16", 1, 2},     {BlockType::kQ8_0, "Q8_0", 32, 34},
    {BlockType::kQ4_0, "Q4_0", 32, 18},   {BlockType::kQ5_0, "Q5_0", 32, 22},
    {BlockType::kQ5_1, "Q5_1", 32, 24},   {BlockType::kQ4_K, "Q4_K", 256, 144},
    {BlockType::kQ5_K, "Q5_K", 256, 176}, {BlockType::kQ6_K, "Q6_K", 256, 210},
    {BlockType::kMXFP4, "MXFP4", 32, 17}, {BlockType::kQ4_1, "Q4_1", 32, 20},
};

uint16_t load_16(const uint8_t* bytes) {
  uint16_t bits;
  std::memcpy(&bits, bytes, 2);
  return bits;
}

void store_16(uint8_t* bytes, uint16_t bits) { std::memcpy(bytes, &bits, 2); }

float load_f16(const uint8_t* bytes) { return f16_to_float(load_16(bytes)); }

// f16 scale, 32 signed bytes.
void dequantise_q8_0(const uint8_t* block, float* out) {
  const float scale = load_f16(block);
  for (int i = 0; i < 32; ++i) out[i] = float(int8_t(block[2 + i])) * scale;
}

// f16 scale, 16 bytes: the low nibbles are elements 0 to 15, the high ones 16 to 31.
void dequantise_q4_0(const uint8_t* block, float* out) {
  const float scale = load_f16(block);
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * float(int(block[2 + i] & 15) - 8);
    out[16 + i] = scale * float(int(block[2 + i] >> 4) - 8);
  }
}

// f16 scale, f16 offset, then the nibbles of Q4_0.
void dequantise_q4_1(const uint8_t* block, float* out) {
  const float scale = load_f16(block), offset = load_f16(block + 2);
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * float(block[4 + i] & 15) + offset;
    out[16 + i] = scale * float(block[4 + i] >> 4) + offset;
  }
}

// 4 bytes of fifth bits, the nibbles of Q4_0: the codes, 0 to 31.
void codes_of_five_bits(const uint8_t* bytes, int* codes) {
  uint32_t fifth;
  std::memcpy(&fifth, bytes, 4);
  for (int i = 0; i < 32; ++i) {
    const uint8_t pair = bytes[4 + i % 16];
    codes[i] = (i < 16 ? pair & 15 : pair >> 4) | int(fifth >> i & 1) << 4;
  }
}

// f16 scale, then the codes, less 16.
void dequantise_q5_0(const uint8_t* block, float* out) {
  const float scale = load_f16(block);
  int codes[32];
  codes_of_five_bits(block + 2, codes);
  for (int i = 0; i < 32; ++i) out[i] = scale * float(codes[i] - 16);
}

// f16 scale, f16 offset, then the codes.
void dequantise_q5_1(const uint8_t* block, float* out) {
  const float scale = load_f16(block), offset = load_f16(block + 2);
  int codes[32];
  codes_of_five_bits(block + 4, codes);
  for (int i = 0; i < 32; ++i) out[i] = scale * float(codes[i]) + offset;
}

// Scale and offset of the eight parts of a block of Q4_K or Q5_K. It begins with an f16 scale of
// the scales, an f16 scale of the offsets, 12 bytes of 8 six-bit scales and 8 six-bit offsets.
struct PartScale {
  float scale, offset;
};
PartScale part_scale(const uint8_t* block, int part) {
  const uint8_t* packed = block + 4;
  // The last four scales and offsets lie in the nibbles of bytes 8 to 11; their upper two bits are
  // left over in the bytes of the first four.
  int scale_code, offset_code;
  if (part < 4) {
    scale_code = packed[part] & 63;
    offset_code = packed[part + 4] & 63;
  } else {
    scale_code = (packed[part + 4] & 15) | (packed[part - 4] >> 6 << 4);
    offset_code = (packed[part + 4] >> 4) | (packed[part] >> 6 << 4);
  }
  return {load_f16(block) * float(scale_code), load_f16(block + 2) * float(offset_code)};
}

// The scales, 128 bytes: each 32 of them hold 32 low and then 32 high nibbles.
void dequantise_q4_k(const uint8_t* block, float* out) {
  for (int part = 0; part < 8; ++part) {
    const auto [scale, offset] = part_scale(block, part);
    const uint8_t* from = block + 16 + part / 2 * 32;
    const int shift = part % 2 * 4;
    for (int i = 0; i < 32; ++i)
      out[part * 32 + i] = scale * float((from[i] >> shift) & 15) - offset;
  }
}

// The scales, 32 bytes whose bit p is the fifth of part p, the nibbles of Q4_K.
void dequantise_q5_k(const uint8_t* block, float* out) {
  const uint8_t* fifth = block + 16;
  for (int part = 0; part < 8; ++part) {
    const auto [scale, offset] = part_scale(block, part);
    const uint8_t* from = block + 48 + part / 2 * 32;
    const int shift = part % 2 * 4;
    for (int i = 0; i < 32; ++i) {
      const int code = ((from[i] >> shift) & 15) | ((fifth[i] >> part) & 1) << 4;
      out[part * 32 + i] = scale * float(code) - offset;
    }
  }
}

// 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 signed scales, f16 scale of the scales.
// Each half of the block is four runs of 32: their nibbles come from 64 bytes, low before high,
// their bit pairs from the same 32 bytes.
void dequantise_q6_k(const uint8_t* block, float* out) {
  const uint8_t* scales = block + 192;
  const float unit = load_f16(block + 208);
  for (int half = 0; half < 2; ++half) {
    const uint8_t* pairs = block + 128 + half * 32;
    for (int run = 0; run < 4; ++run) {
      const uint8_t* nibbles = block + half * 64 + run % 2 * 32;
      const int shift = run / 2 * 4;
      for (int i = 0; i < 32; ++i) {
        const int code = ((nibbles[i] >> shift) & 15) | (((pairs[i] >> (2 * run)) & 3) << 4);
        const float scale = unit * float(int8_t(scales[half * 8 + run * 2 + i / 16]));
        out[half * 128 + run * 32 + i] = scale * float(code - 32);
      }
    }
  }
}

// E8M0 exponent, 16 bytes of E2M1 codes in the nibble order of Q4_0. The table is doubled, the
// scale halved. Code 8 is a plain zero, exponent 255 is 2^128 and no NaN: so does the package.
void dequantise_mxfp4(const uint8_t* block, float* out) {
  static constexpr float kDoubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  const float half_scale = std::ldexp(1.0f, int(block[0]) - 128);
  for (int i = 0; i < 16; ++i) {
    out[i] = half_scale * kDoubled[block[1 + i] & 15];
    out[16 + i] = half_scale * kDoubled[block[1 + i] >> 4];
  }
}

struct Largest {
  float value;  // the first of the largest magnitude, with its sign
  bool finite;  // all 32 are
};

Largest largest_of_32(const float* values) {
  Largest largest = {values[0], true};
  for (int i = 0; i < 32; ++i) {
    largest.finite &= std::isfinite(values[i]);
    if (std::abs(values[i]) > std::abs(largest.value)) largest.value = values[i];
  }
  return largest;
}

// A scale so small that its inverse overflows is zero in f16 in any case.
float inverse_or_zero(float scale) {
  const float inverse = 1 / scale;
  return std::isfinite(inverse) ? inverse : 0.0f;
}

constexpr uint16_t kF16Nan = 0x7e00;

void quantise_q8_0(const float* values, uint8_t* block) {
  const Largest largest = largest_of_32(values);
  const float scale = std::abs(largest.value) / 127;
  const float inverse = largest.finite ? inverse_or_zero(scale) : 0.0f;
  store_16(block, largest.finite ? float_to_f16(scale) : kF16Nan);
  for (int i = 0; i < 32; ++i)
    block[2 + i] = largest.finite ? uint8_t(int8_t(std::round(values[i] * inverse))) : 0;
}

// The value of the largest magnitude becomes -8, the end of the range that has one code more.
void quantise_q4_0(const float* values, uint8_t* block) {
  const Largest largest = largest_of_32(values);
  const float scale = largest.value / -8;
  const float inverse = largest.finite ? inverse_or_zero(scale) : 0.0f;
  store_16(block, largest.finite ? float_to_f16(scale) : kF16Nan);
  const auto code = [&](int i) {
    if (!largest.finite) return 8;
    const int rounded = int(values[i] * inverse + 8.5f);
    return rounded < 15 ? rounded : 15;
  };
  for (int i = 0; i < 16; ++i) block[2 + i] = uint8_t(code(i) | (code(16 + i) << 4));
}

template <class Block>
void for_each_block(const BlockLayout& layout, size_t bytes, size_t elements, Block&& block) {
  SH_ASSERT(bytes % size_t(layout.bytes) == 0);
  const size_t count = bytes / size_t(layout.bytes);
  SH_ASSERT(elements == count * size_t(layout.elements));
  for (size_t i = 0; i < count; ++i) block(i * size_t(layout.bytes), i * size_t(layout.elements));
}

}  // namespace

const BlockLayout* find_block_layout(uint32_t type) {
  for (const BlockLayout& layout : kLayouts) {
    if (uint32_t(layout.type) == type) return &layout;
  }
  return nullptr;
}

const BlockLayout& block_layout(BlockType type) {
  const BlockLayout* layout = find_block_layout(uint32_t(type));
  SH_ASSERT(layout != nullptr);
  return *layout;
}

std::string block_type_names() {
  std::string names;
  for (const BlockLayout& layout : kLayouts) {
    if (!names.empty()) names += ", ";
    names += layout.name;
  }
  return names;
}

void dequantise(BlockType type, std::span<const uint8_t> blocks, std::span<float> out) {
  const auto each = [&](auto&& convert) {
    for_each_block(block_layout(type), blocks.size(), out.size(), [&](size_t byte, size_t element) {
      convert(blocks.data() + byte, out.data() + element);
    });
  };
  switch (type) {
    case BlockType::kF32:
      return each([](const uint8_t* from, float* to) { std::memcpy(to, from, 4); });
    case BlockType::kF16:
      return each([](const uint8_t* from, float* to) { *to = load_f16(from); });
    case BlockType::kBF16:
      return each([](const uint8_t* from, float* to) { *to = bf16_to_float(load_16(from)); });
    case BlockType::kQ8_0:
      return each(dequantise_q8_0);
    case BlockType::kQ4_0:
      return each(dequantise_q4_0);
    case BlockType::kQ4_1:
      return each(dequantise_q4_1);
    case BlockType::kQ5_0:
      return each(dequantise_q5_0);
    case BlockType::kQ5_1:
      return each(dequantise_q5_1);
    case BlockType::kQ4_K:
      return each(dequantise_q4_k);
    case BlockType::kQ5_K:
      return each(dequantise_q5_k);
    case BlockType::kQ6_K:
      return each(dequantise_q6_k);
    case BlockType::kMXFP4:
      return each(dequantise_mxfp4);
  }
  SH_ASSERT(false);
}

bool can_quantise(BlockType type) {
  return type == BlockType::kF32 || type == BlockType::kF16 || type == BlockType::kBF16 ||
         type == BlockType::kQ8_0 || type == BlockType::kQ4_0;
}

void quantise(BlockType type, std::span<const float> values, std::span<uint8_t> out) {
  SH_ASSERT(can_quantise(type));
  const auto each = [&](auto&& convert) {
    for_each_block(block_layout(type), out.size(), values.size(), [&](size_t byte, size_t element) {
      convert(values.data() + element, out.data() + byte);
    });
  };
  switch (type) {
    case BlockType::kF32:
      return each([](const float* from, uint8_t* to) { std::memcpy(to, from, 4); });
    case BlockType::kF16:
      return each([](const float* from, uint8_t* to) { store_16(to, float_to_f16(*from)); });
    case BlockType::kBF16:
      return each([](const float* from, uint8_t* to) { store_16(to, float_to_bf16(*from)); });
    case BlockType::kQ8_0:
      return each(quantise_q8_0);
    case BlockType::kQ4_0:
      return each(quantise_q4_0);
    default:
      break;
  }
}

}  // namespace shenhong
