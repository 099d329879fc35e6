// The definition of products with panels, and of their activations in int8.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/floats.h"
#include "kernels/panels_scalar.h"

namespace shenhong {
namespace {

// One panel, taken apart.
struct Panel {
  const Panels& w;
  PanelShape shape;
  const uint8_t* bytes;

  template <class T>
  T at(int64_t offset) const {
    T value;
    std::memcpy(&value, bytes + offset, sizeof value);
    return value;
  }

  // What is stored at row r, column k; 2·E2M1 for the formats of four bits.
  float number(int r, int k) const {
    const int block = k / shape.block, inside = k % shape.block;
    const int64_t place = int64_t(k) * kPanelRows + r;
    switch (w.format) {
      case NumberFormat::kF32:
        return at<float>(place * 4);
      case NumberFormat::kBF16:
        return bf16_to_float(at<uint16_t>(place * 2));
      case NumberFormat::kFP8:
        return e4m3_to_float(at<uint8_t>((int64_t(k / 2) * kPanelRows + r) * 2 + k % 2));
      case NumberFormat::kInt8: {
        const int64_t byte = (inside / 4 * kPanelRows + r) * 4 + inside % 4;
        return float(int(at<uint8_t>(block * shape.block_bytes + byte)) - kInt8Offset);
      }
      case NumberFormat::kInt4:
      case NumberFormat::kNVFP4:
      case NumberFormat::kMXFP4:
      case NumberFormat::kUint4: {
        const int64_t byte = (inside / 8 * kPanelRows + r) * 4 + inside % 4;
        const uint8_t pair = at<uint8_t>(block * shape.block_bytes + byte);
        const int code = inside % 8 < 4 ? pair & 15 : pair >> 4;
        if (w.format == NumberFormat::kUint4) return float(code);
        return w.format == NumberFormat::kInt4 ? float(code - kInt4Offset)
                                               : 2 * e2m1_to_float(uint8_t(code));
      }
    }
    return 0;
  }

  double scale(int r, int block) const {
    const int64_t place = shape.scales_at + block * shape.scale_bytes;
    switch (w.format) {
      case NumberFormat::kF32:
      case NumberFormat::kBF16:
        return 1;
      case NumberFormat::kFP8:
        return at<float>(place);
      case NumberFormat::kInt8:
      case NumberFormat::kInt4:
      case NumberFormat::kUint4:
        return f16_to_float(at<uint16_t>(place + 2 * r));
      case NumberFormat::kNVFP4:
        return double(e4m3_to_float(at<uint8_t>(place + r))) * w.scale / 2;
      case NumberFormat::kMXFP4:
        return double(e8m0_to_float(at<uint8_t>(place + r))) / 2;
    }
    return 0;
  }

  // What every number of a block has beside its scaled code.
  double offset(int r, int block) const {
    if (w.format != NumberFormat::kUint4) return 0;
    return f16_to_float(
        at<uint16_t>(shape.scales_at + block * shape.scale_bytes + 2 * (kPanelRows + r)));
  }
};

double element(const PanelProduct& g, const Panel& panel, int m, int r) {
  const int K = g.w.cols;
  double sum = 0;
  for (int block = 0; block < panel.shape.blocks; ++block) {
    const int begin = block * panel.shape.block, end = std::min(K, begin + panel.shape.block);
    double part = 0, inputs = 0;
    for (int k = begin; k < end; ++k) {
      const double x =
          takes_int8(g.w.format) ? double(g.q.q[int64_t(m) * K + k]) : double(g.x[m * g.ldx + k]);
      part += x * double(panel.number(r, k));
      inputs += x;
    }
    part = part * panel.scale(r, block) + inputs * panel.offset(r, block);
    if (takes_int8(g.w.format))
      part *= double(g.q.scale[int64_t(m) * (K / kInt8Block) + begin / kInt8Block]);
    sum += part;
  }
  return sum;
}

}  // namespace

void panel_product_scalar(const PanelProduct& g) noexcept {
  const PanelShape shape = panel_shape(g.w.format, g.w.cols);
  for (int p = g.first; p < g.last; ++p) {
    const Panel panel{g.w, shape, g.w.bytes + p * shape.bytes};
    const int rows = std::min(kPanelRows, g.w.rows - p * kPanelRows);
    for (int m = 0; m < g.M; ++m) {
      float* y = g.y + m * g.ldy + int64_t(p) * kPanelRows;
      for (int r = 0; r < rows; ++r)
        y[r] = float(element(g, panel, m, r) + (g.accumulate ? double(y[r]) : 0));
    }
  }
}

// In float, not in double: the integers must be those of every other table.
void quantize_rows_scalar(const float* x, int64_t ldx, int M, int K, int8_t* q, float* scale,
                          int32_t* sum) noexcept {
  for (int m = 0; m < M; ++m, x += ldx) {
    for (int begin = 0; begin < K; begin += kInt8Block) {
      float most = 0;
      for (int k = begin; k < begin + kInt8Block; ++k) most = std::max(most, std::abs(x[k]));
      const float factor = most > 0 ? 127 / most : 0;
      *scale++ = most / 127;
      for (int k = begin; k < begin + kInt8Block; k += 16) {
        int total = 0;
        for (int i = k; i < k + 16; ++i) {
          *q = int8_t(std::nearbyint(x[i] * factor));
          total += *q++;
        }
        *sum++ = total;
      }
    }
  }
}

}  // namespace shenhong
