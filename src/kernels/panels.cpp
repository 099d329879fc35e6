#include "kernels/panels.h"

#include "core/error.h"

namespace shenhong {
namespace {

constexpr int64_t kPanelAlign = 64;

}  // namespace

std::string_view format_name(NumberFormat format) {
  switch (format) {
    case NumberFormat::kF32:
      return "f32";
    case NumberFormat::kBF16:
      return "bf16";
    case NumberFormat::kFP8:
      return "fp8";
    case NumberFormat::kInt8:
      return "int8";
    case NumberFormat::kInt4:
      return "int4";
    case NumberFormat::kNVFP4:
      return "nvfp4";
    case NumberFormat::kMXFP4:
      return "mxfp4";
    case NumberFormat::kUint4:
      return "uint4";
  }
  return "";
}

PanelShape panel_shape(NumberFormat format, int K) {
  SH_ASSERT(!takes_int8(format) || K % kInt8Block == 0);
  PanelShape s{};
  const auto set = [&](int block, int64_t bits_per_row, int64_t scale_bytes) {
    s.block = block;
    s.blocks = block == 0 ? 0 : (K + block - 1) / block;
    s.block_bytes = int64_t(kPanelRows) * block * bits_per_row / 8;
    s.scale_bytes = scale_bytes;
    s.scales_at = int64_t(kPanelRows) * K * bits_per_row / 8;
  };
  switch (format) {
    case NumberFormat::kF32:
      set(K, 32, 0);
      break;
    case NumberFormat::kBF16:
      set(K, 16, 0);
      break;
    case NumberFormat::kFP8:
      set(kFP8Block, 8, sizeof(float));
      s.scales_at = int64_t(kPanelRows) * ((K + kFP8Step - 1) / kFP8Step * kFP8Step);
      break;
    case NumberFormat::kInt8:
      set(kInt8Block, 8, kPanelRows * sizeof(uint16_t));
      break;
    case NumberFormat::kInt4:
      set(kInt8Block, 4, kPanelRows * sizeof(uint16_t));
      break;
    case NumberFormat::kNVFP4:
      set(kNVFP4Block, 4, kPanelRows);
      break;
    case NumberFormat::kMXFP4:
      set(kMXFP4Block, 4, kPanelRows);
      break;
    case NumberFormat::kUint4:
      set(kInt8Block, 4, 2 * kPanelRows * sizeof(uint16_t));
      break;
  }
  const int64_t used = s.scales_at + s.blocks * s.scale_bytes;
  s.bytes = (used + kPanelAlign - 1) / kPanelAlign * kPanelAlign;
  return s;
}

}  // namespace shenhong
