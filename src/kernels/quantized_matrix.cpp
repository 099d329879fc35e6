#include "kernels/quantized_matrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/floats.h"
#include "core/parallel.h"

namespace shenhong {
namespace {

constexpr int kRowsAtOnce = 16;  // per work item; divides fp8's blocks
constexpr float kMostE4M3 = 448, kMostF16 = 65504;
constexpr int kMostUint4 = 15;
// With the tensor's scale so, a block whose largest shall meet 4 still has a scale within E4M3.
constexpr float kMostNVFP4Scale = 256;

int blocks_of(int size, int block) { return (size + block - 1) / block; }

float largest(const float* w, int64_t n) {
  float most = 0;
  for (int64_t i = 0; i < n; ++i) most = std::max(most, std::abs(w[i]));
  return most;
}

void put_code(uint8_t* row, int k, uint8_t code) {
  uint8_t& pair = row[k / 2];
  pair = k % 2 == 0 ? uint8_t((pair & 0xf0) | code) : uint8_t((pair & 0x0f) | code << 4);
}

uint8_t get_code(const uint8_t* row, int k) {
  return k % 2 == 0 ? row[k / 2] & 15 : row[k / 2] >> 4;
}

template <class T>
T* as(Buffer<uint8_t>& bytes) {
  return reinterpret_cast<T*>(bytes.data());
}

template <class T>
T value_at(std::span<const uint8_t> bytes, int64_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * int64_t(sizeof(T)), sizeof value);
  return value;
}

// run(r) for all rows.
template <class Run>
void for_rows(int rows, const Run& run) {
  parallel_ranges(rows, kRowsAtOnce, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) run(int(r));
  });
}

void quantize_fp8(int rows, int cols, const float* w, QuantizedBuffer& out) {
  const int across = blocks_of(cols, kFP8Block);
  float* scales = as<float>(out.scales);
  parallel_for(blocks_of(rows, kFP8Block), [&](int64_t band) {
    const int begin = int(band) * kFP8Block, end = std::min(rows, begin + kFP8Block);
    for (int b = 0; b < across; ++b) {
      const int k0 = b * kFP8Block, k1 = std::min(cols, k0 + kFP8Block);
      float most = 0;
      for (int r = begin; r < end; ++r)
        most = std::max(most, largest(w + int64_t(r) * cols + k0, k1 - k0));
      const float scale = most > 0 ? most / kMostE4M3 : 1;
      scales[band * across + b] = scale;
      for (int r = begin; r < end; ++r)
        for (int k = k0; k < k1; ++k)
          out.numbers[int64_t(r) * cols + k] = float_to_e4m3(w[int64_t(r) * cols + k] / scale);
    }
  });
}

void quantize_int8(int rows, int cols, const float* w, QuantizedBuffer& out) {
  uint16_t* scales = as<uint16_t>(out.scales);
  int8_t* numbers = as<int8_t>(out.numbers);
  for_rows(rows, [&](int r) {
    for (int k = 0; k < cols; k += kInt8Block) {
      const int64_t at = int64_t(r) * cols + k;
      const uint16_t bits = float_to_f16(std::min(largest(w + at, kInt8Block) / 127, kMostF16));
      const float scale = f16_to_float(bits);
      scales[at / kInt8Block] = bits;
      for (int i = 0; i < kInt8Block; ++i) {
        const float q = scale > 0 ? std::nearbyint(w[at + i] / scale) : 0;
        numbers[at + i] = int8_t(std::clamp(q, -127.0f, 127.0f));
      }
    }
  });
}

void quantize_int4(int rows, int cols, const float* w, QuantizedBuffer& out) {
  uint16_t* scales = as<uint16_t>(out.scales);
  for_rows(rows, [&](int r) {
    for (int k = 0; k < cols; k += kInt8Block) {
      const float* block = w + int64_t(r) * cols + k;
      const float top = *std::max_element(
          block, block + kInt8Block, [](float a, float b) { return std::abs(a) < std::abs(b); });
      const uint16_t bits =
          float_to_f16(std::clamp(top / -kInt4Offset, -kMostF16, kMostF16) + 0.0f);
      const float scale = f16_to_float(bits);
      scales[(int64_t(r) * cols + k) / kInt8Block] = bits;
      for (int i = 0; i < kInt8Block; ++i) {
        const float q = scale != 0 ? std::nearbyint(block[i] / scale) : 0;
        put_code(out.numbers.data() + int64_t(r) * cols / 2, k + i,
                 uint8_t(int(std::clamp(q, -8.0f, 7.0f)) + kInt4Offset));
      }
    }
  });
}

// One block with the given scale: codes, and the sum of squared errors.
double encode_e2m1(const float* w, int n, float scale, uint8_t* codes) {
  double error = 0;
  for (int i = 0; i < n; ++i) {
    codes[i] = scale > 0 ? float_to_e2m1(w[i] / scale) : 0;
    const double off = double(w[i]) - double(e2m1_to_float(codes[i])) * double(scale);
    error += off * off;
  }
  return error;
}

void quantize_nvfp4(int rows, int cols, const float* w, QuantizedBuffer& out) {
  const float most = largest(w, int64_t(rows) * cols);
  const float tensor = most > 0 ? most / (6 * kMostNVFP4Scale) : 1;
  out.view.scale = tensor;
  for_rows(rows, [&](int r) {
    for (int k = 0; k < cols; k += kNVFP4Block) {
      const float* block = w + int64_t(r) * cols + k;
      const float top = largest(block, kNVFP4Block);
      uint8_t codes[2][kNVFP4Block], scale[2];
      double error[2];
      for (const int choice : {0, 1}) {
        scale[choice] = float_to_e4m3(top / float(choice == 0 ? 6 : 4) / tensor);
        error[choice] =
            encode_e2m1(block, kNVFP4Block, e4m3_to_float(scale[choice]) * tensor, codes[choice]);
      }
      const int best = error[1] < error[0] ? 1 : 0;
      out.scales[(int64_t(r) * cols + k) / kNVFP4Block] = scale[best];
      for (int i = 0; i < kNVFP4Block; ++i)
        put_code(out.numbers.data() + int64_t(r) * cols / 2, k + i, codes[best][i]);
    }
  });
}

void quantize_mxfp4(int rows, int cols, const float* w, QuantizedBuffer& out) {
  for_rows(rows, [&](int r) {
    for (int k = 0; k < cols; k += kMXFP4Block) {
      const float* block = w + int64_t(r) * cols + k;
      const uint8_t scale = ceil_e8m0(largest(block, kMXFP4Block) / 6);
      uint8_t codes[kMXFP4Block];
      encode_e2m1(block, kMXFP4Block, e8m0_to_float(scale), codes);
      out.scales[(int64_t(r) * cols + k) / kMXFP4Block] = scale;
      for (int i = 0; i < kMXFP4Block; ++i)
        put_code(out.numbers.data() + int64_t(r) * cols / 2, k + i, codes[i]);
    }
  });
}

void quantize_uint4(int rows, int cols, const float* w, QuantizedBuffer& out) {
  uint16_t* scales = as<uint16_t>(out.scales);
  for_rows(rows, [&](int r) {
    for (int k = 0; k < cols; k += kInt8Block) {
      const float* block = w + int64_t(r) * cols + k;
      const auto [least, most] = std::minmax_element(block, block + kInt8Block);
      const auto f16 = [](float x) { return float_to_f16(std::clamp(x, -kMostF16, kMostF16)); };
      uint16_t* bits = scales + (int64_t(r) * cols + k) / kInt8Block * 2;
      bits[0] = f16((*most - *least) / kMostUint4);
      bits[1] = f16(*least);
      const float scale = f16_to_float(bits[0]), offset = f16_to_float(bits[1]);
      for (int i = 0; i < kInt8Block; ++i) {
        const float q = scale > 0 ? std::nearbyint((block[i] - offset) / scale) : 0;
        put_code(out.numbers.data() + int64_t(r) * cols / 2, k + i,
                 uint8_t(std::clamp(q, 0.0f, float(kMostUint4))));
      }
    }
  });
}

float number_at(const QuantizedMatrix& w, int r, int k) {
  const int64_t at = int64_t(r) * w.cols + k;
  switch (w.format) {
    case NumberFormat::kF32:
      return value_at<float>(w.numbers, at);
    case NumberFormat::kBF16:
      return bf16_to_float(value_at<uint16_t>(w.numbers, at));
    case NumberFormat::kFP8:
      return e4m3_to_float(w.numbers[at]);
    case NumberFormat::kInt8:
      return float(int8_t(w.numbers[at]));
    case NumberFormat::kInt4:
      return float(int(get_code(w.numbers.data() + int64_t(r) * w.cols / 2, k)) - kInt4Offset);
    case NumberFormat::kNVFP4:
    case NumberFormat::kMXFP4:
      return e2m1_to_float(get_code(w.numbers.data() + int64_t(r) * w.cols / 2, k));
    case NumberFormat::kUint4:
      return float(get_code(w.numbers.data() + int64_t(r) * w.cols / 2, k));
  }
  return 0;
}

float scale_at(const QuantizedMatrix& w, int r, int k) {
  const int64_t at = int64_t(r) * w.cols + k;
  switch (w.format) {
    case NumberFormat::kF32:
    case NumberFormat::kBF16:
      return 1;
    case NumberFormat::kFP8:
      return value_at<float>(w.scales,
                             r / kFP8Block * blocks_of(w.cols, kFP8Block) + k / kFP8Block);
    case NumberFormat::kInt8:
    case NumberFormat::kInt4:
      return f16_to_float(value_at<uint16_t>(w.scales, at / kInt8Block));
    case NumberFormat::kNVFP4:
      return e4m3_to_float(w.scales[at / kNVFP4Block]) * w.scale;
    case NumberFormat::kMXFP4:
      return e8m0_to_float(w.scales[at / kMXFP4Block]);
    case NumberFormat::kUint4:
      return f16_to_float(value_at<uint16_t>(w.scales, at / kInt8Block * 2));
  }
  return 1;
}

bool has_f16_scales(NumberFormat format) {
  return format == NumberFormat::kInt8 || format == NumberFormat::kInt4 ||
         format == NumberFormat::kUint4;
}

// Words of up to 16 rows, `row_bytes` apart, side by side: word i of row r to place 16i + r.
template <class Word, class Change>
void interleave(const uint8_t* rows, int64_t row_bytes, int count, int64_t words, uint8_t* out,
                const Change& change) {
  constexpr int64_t kLine = 64 / sizeof(Word);  // words that a row gives before the next is read
  for (int64_t begin = 0; begin < words; begin += kLine) {
    const int64_t end = std::min(words, begin + kLine);
    for (int r = 0; r < count; ++r) {
      for (int64_t i = begin; i < end; ++i) {
        Word word;
        std::memcpy(&word, rows + r * row_bytes + i * int64_t(sizeof word), sizeof word);
        word = change(word);
        std::memcpy(out + (i * kPanelRows + r) * int64_t(sizeof word), &word, sizeof word);
      }
    }
  }
}

// Eight codes in the order of the columns -> 0 4 1 5 2 6 3 7, so that four bytes have the first
// four columns low and the next four high.
uint32_t first_four_low(uint32_t codes) {
  codes = (codes & 0xff0000ff) | (codes & 0x00ff0000) >> 8 | (codes & 0x0000ff00) << 8;
  return (codes & 0xf00ff00f) | (codes & 0x0f000f00) >> 4 | (codes & 0x00f000f0) << 4;
}

// Panel p of w; rows past its end are zero.
void pack(const QuantizedMatrix& w, const PanelShape& shape, int p, uint8_t* panel) {
  const int first = p * kPanelRows, rows = std::min(kPanelRows, w.rows - first), K = w.cols;
  const int64_t row_bytes = number_bytes(w.format, 1, K);
  const uint8_t* numbers = w.numbers.data() + first * row_bytes;
  const auto as_it_is = [](auto word) { return word; };
  std::memset(panel, 0, size_t(shape.bytes));
  switch (w.format) {
    case NumberFormat::kF32:
      return interleave<uint32_t>(numbers, row_bytes, rows, K, panel, as_it_is);
    case NumberFormat::kBF16:
      return interleave<uint16_t>(numbers, row_bytes, rows, K, panel, as_it_is);
    case NumberFormat::kFP8:
      interleave<uint16_t>(numbers, row_bytes, rows, K / 2, panel, as_it_is);
      if (K % 2 == 1)
        for (int r = 0; r < rows; ++r)
          panel[(int64_t(K / 2) * kPanelRows + r) * 2] = numbers[r * row_bytes + K - 1];
      std::memcpy(panel + shape.scales_at,
                  w.scales.data() + int64_t(first / kFP8Block) * shape.blocks * 4,
                  size_t(shape.blocks) * 4);
      return;
    case NumberFormat::kInt8:
      std::memset(panel, kInt8Offset, size_t(shape.scales_at));
      interleave<uint32_t>(numbers, row_bytes, rows, K / 4, panel,
                           [](uint32_t four) { return four ^ 0x80808080; });
      break;
    case NumberFormat::kInt4:
    case NumberFormat::kNVFP4:
    case NumberFormat::kMXFP4:
    case NumberFormat::kUint4:
      interleave<uint32_t>(numbers, row_bytes, rows, K / 8, panel, first_four_low);
      break;
  }
  const int64_t scale_row = scale_bytes(w.format, 1, K);
  const uint8_t* scales = w.scales.data() + first * scale_row;
  if (has_f16_scales(w.format))
    interleave<uint16_t>(scales, scale_row, rows, scale_row / 2, panel + shape.scales_at, as_it_is);
  else
    interleave<uint8_t>(scales, scale_row, rows, scale_row, panel + shape.scales_at, as_it_is);
}

}  // namespace

int64_t number_bytes(NumberFormat format, int rows, int cols) {
  const int64_t count = int64_t(rows) * cols;
  switch (format) {
    case NumberFormat::kF32:
      return count * 4;
    case NumberFormat::kBF16:
      return count * 2;
    case NumberFormat::kFP8:
    case NumberFormat::kInt8:
      return count;
    case NumberFormat::kInt4:
    case NumberFormat::kNVFP4:
    case NumberFormat::kMXFP4:
    case NumberFormat::kUint4:
      return count / 2;
  }
  return 0;
}

int64_t scale_bytes(NumberFormat format, int rows, int cols) {
  const int64_t count = int64_t(rows) * cols;
  switch (format) {
    case NumberFormat::kF32:
    case NumberFormat::kBF16:
      return 0;
    case NumberFormat::kFP8:
      return int64_t(4) * blocks_of(rows, kFP8Block) * blocks_of(cols, kFP8Block);
    case NumberFormat::kInt8:
    case NumberFormat::kInt4:
      return 2 * count / kInt8Block;
    case NumberFormat::kNVFP4:
      return count / kNVFP4Block;
    case NumberFormat::kMXFP4:
      return count / kMXFP4Block;
    case NumberFormat::kUint4:
      return 4 * count / kInt8Block;
  }
  return 0;
}

bool fits_blocks(NumberFormat format, int cols) {
  return !takes_int8(format) || cols % kInt8Block == 0;
}

QuantizedBuffer owned(QuantizedBuffer w) {
  const auto own = [](std::span<const uint8_t>& part, Buffer<uint8_t>& buffer) {
    if (part.empty() || part.data() == buffer.data()) return;
    buffer.resize(int64_t(part.size()));
    std::memcpy(buffer.data(), part.data(), part.size());
    part = buffer.span();
  };
  own(w.view.numbers, w.numbers);
  own(w.view.scales, w.scales);
  return w;
}

QuantizedBuffer quantize(NumberFormat format, int rows, int cols, const float* w) {
  SH_ASSERT(fits_blocks(format, cols));
  QuantizedBuffer out;
  out.numbers.resize_zero(number_bytes(format, rows, cols));  // pairs are filled one by one
  out.scales.resize(scale_bytes(format, rows, cols));
  switch (format) {
    case NumberFormat::kF32:
      if (out.numbers.size() > 0) std::memcpy(out.numbers.data(), w, out.numbers.bytes());
      break;
    case NumberFormat::kBF16:
      for_rows(rows, [&](int r) {
        for (int64_t i = int64_t(r) * cols; i < int64_t(r + 1) * cols; ++i)
          as<uint16_t>(out.numbers)[i] = float_to_bf16(w[i]);
      });
      break;
    case NumberFormat::kFP8:
      quantize_fp8(rows, cols, w, out);
      break;
    case NumberFormat::kInt8:
      quantize_int8(rows, cols, w, out);
      break;
    case NumberFormat::kInt4:
      quantize_int4(rows, cols, w, out);
      break;
    case NumberFormat::kNVFP4:
      quantize_nvfp4(rows, cols, w, out);
      break;
    case NumberFormat::kMXFP4:
      quantize_mxfp4(rows, cols, w, out);
      break;
    case NumberFormat::kUint4:
      quantize_uint4(rows, cols, w, out);
      break;
  }
  out.view.format = format;
  out.view.rows = rows;
  out.view.cols = cols;
  out.view.numbers = out.numbers.span();
  out.view.scales = out.scales.span();
  return out;
}

void dequantize(const QuantizedMatrix& w, float* out) {
  for_rows(w.rows, [&](int r) { dequantize_row(w, r, out + int64_t(r) * w.cols); });
}

void dequantize_row(const QuantizedMatrix& w, int row, float* out) {
  for (int k = 0; k < w.cols; ++k) out[k] = number_at(w, row, k) * scale_at(w, row, k);
  if (w.format != NumberFormat::kUint4) return;
  for (int k = 0; k < w.cols; ++k) {
    const int64_t block = (int64_t(row) * w.cols + k) / kInt8Block;
    out[k] += f16_to_float(value_at<uint16_t>(w.scales, 2 * block + 1));
  }
}

WeightPanels::WeightPanels(const QuantizedMatrix& w) {
  SH_ASSERT(fits_blocks(w.format, w.cols));
  SH_ASSERT(int64_t(w.numbers.size()) == number_bytes(w.format, w.rows, w.cols));
  SH_ASSERT(int64_t(w.scales.size()) == scale_bytes(w.format, w.rows, w.cols));
  view_ = {w.format, w.rows, w.cols, nullptr, w.scale};
  const PanelShape shape = panel_shape(w.format, w.cols);
  bytes_.resize(view_.count() * shape.bytes);
  view_.bytes = bytes_.data();
  parallel_for(view_.count(),
               [&](int64_t p) { pack(w, shape, int(p), bytes_.data() + p * shape.bytes); });
}

WeightPanels::WeightPanels(NumberFormat format, int rows, int cols, const float* w)
    : WeightPanels(quantize(format, rows, cols, w).view) {}

}  // namespace shenhong
