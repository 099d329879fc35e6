// The element types of GGUF tensors that this program reads, and their blocks: some elements share
// a scale and are stored together. Conversion from and to float is bit for bit that of the `gguf`
// Python package (docs: github.com/ggml-org/ggml, docs/gguf.md).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace shenhong {

enum class BlockType : uint32_t {  // the numbers are the file format's
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kBF16 = 30,
  kMXFP4 = 39,
};

struct BlockLayout {
  BlockType type;
  std::string_view name;  // "Q4_K"
  int64_t elements;       // per block; 1 for the plain types
  int64_t bytes;          // per block
};

// nullptr for the number of a type that is not read here.
const BlockLayout* find_block_layout(uint32_t type);
const BlockLayout& block_layout(BlockType type);
// "F32, F16, ...": for messages.
std::string block_type_names();

// Whole blocks to floats; `out` has as many elements as the blocks hold. A block whose scale is no
// finite number gives NaN or infinity.
void dequantise(BlockType type, std::span<const uint8_t> blocks, std::span<float> out);

bool can_quantise(BlockType type);  // F32, F16, BF16, Q8_0, Q4_0

// Whole blocks of floats to bytes; `out` has as many bytes as those blocks take. F16 and BF16 round
// to nearest even. A block of Q8_0 or Q4_0 that holds NaN or infinity gets the scale NaN, and one
// whose scale is beyond f16 (magnitudes above 127 · 65504 and 8 · 65504) the scale infinity:
// reading such a block does not give numbers that look right.
void quantise(BlockType type, std::span<const float> values, std::span<uint8_t> out);

}  // namespace shenhong
