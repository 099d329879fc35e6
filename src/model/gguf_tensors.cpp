#include "model/gguf_tensors.h"

#include <cstring>

#include "core/error.h"
#include "model/gguf_names.h"

namespace shenhong {
namespace {

BlockType stored_type(const GgufPlace& place, BlockType type) {
  if (place.is_vector || place.gguf.ends_with("ffn_gate_inp.weight")) return BlockType::kF32;
  return place.cols % block_layout(type).elements == 0 ? type : BlockType::kBF16;
}

Buffer<float> floats_of(const QuantizedMatrix& w) {
  Buffer<float> out(int64_t(w.rows) * w.cols);
  dequantize(w, out.data());
  return out;
}

void copy_int8(const QuantizedMatrix& w, std::span<uint8_t> out) {
  constexpr int64_t kBlock = kInt8Block, kBytes = kBlock + 2;
  for (int64_t i = 0; i < int64_t(out.size()) / kBytes; ++i) {
    std::memcpy(out.data() + i * kBytes, w.scales.data() + 2 * i, 2);
    std::memcpy(out.data() + i * kBytes + 2, w.numbers.data() + i * kBlock, size_t(kBlock));
  }
}

// Even columns of a row are its bytes' lower halves here; in a block of GGUF the first 16 are.
void copy_int4(const QuantizedMatrix& w, std::span<uint8_t> out) {
  constexpr int64_t kPairs = 16, kBytes = kPairs + 2;
  for (int64_t i = 0; i < int64_t(out.size()) / kBytes; ++i) {
    uint8_t* block = out.data() + i * kBytes;
    std::memcpy(block, w.scales.data() + 2 * i, 2);
    const auto code = [&](int64_t element) {
      const uint8_t pair = w.numbers[size_t(i * kPairs + element / 2)];
      return element % 2 == 0 ? pair & 15 : pair >> 4;
    };
    for (int64_t k = 0; k < kPairs; ++k) block[2 + k] = uint8_t(code(k) | code(kPairs + k) << 4);
  }
}

GgufTensorToWrite as_it_is(const GgufPlace& place, BlockType type, const TensorSource& source) {
  const auto fill = [place, type, &source](std::span<uint8_t> out) {
    const size_t size = out.size() / place.names.size();
    for (size_t part = 0; part < place.names.size(); ++part) {
      const QuantizedBuffer w = source(place.names[part], place.rows, place.cols);
      const std::span<uint8_t> to = out.subspan(part * size, size);
      if (type == BlockType::kQ8_0 && w.view.format == NumberFormat::kInt8) {
        copy_int8(w.view, to);
      } else if (type == BlockType::kQ4_0 && w.view.format == NumberFormat::kInt4) {
        copy_int4(w.view, to);
      } else {
        quantise(type, floats_of(w.view).span(), to);
      }
    }
  };
  return {place.gguf, type, place.shape(), fill};
}

// The keys' and the values' half of the up-projection, see gguf_places.
void add_absorbed(const ModelConfig& c, const GgufPlace& place, BlockType type,
                  const TensorSource& source, std::vector<GgufTensorToWrite>& out) {
  const int64_t H = c.num_attention_heads, Dn = c.qk_nope_head_dim, Dv = c.v_head_dim,
                R = c.kv_lora_rank;
  const auto joined = [place, &source] {
    return floats_of(source(place.names[0], place.rows, place.cols).view);
  };
  const auto keys = [=](std::span<uint8_t> to) {
    const Buffer<float> all = joined();
    Buffer<float> turned(H * R * Dn);
    for (int64_t h = 0; h < H; ++h)
      for (int64_t n = 0; n < Dn; ++n)
        for (int64_t r = 0; r < R; ++r)
          turned[(h * R + r) * Dn + n] = all[(h * (Dn + Dv) + n) * R + r];
    quantise(type, turned.span(), to);
  };
  const auto values = [=](std::span<uint8_t> to) {
    const Buffer<float> all = joined();
    Buffer<float> picked(H * Dv * R);
    for (int64_t h = 0; h < H; ++h)
      std::memcpy(picked.data() + h * Dv * R, all.data() + (h * (Dn + Dv) + Dn) * R,
                  size_t(Dv * R) * sizeof(float));
    quantise(type, picked.span(), to);
  };
  out.push_back({absorbed_name(place.gguf, "attn_k_b"), type, {H, R, Dn}, keys});
  out.push_back({absorbed_name(place.gguf, "attn_v_b"), type, {H, Dv, R}, values});
}

}  // namespace

std::vector<GgufTensorToWrite> gguf_tensors(const ModelConfig& config, BlockType type,
                                            const TensorSource& source) {
  SH_ASSERT(can_quantise(type));
  const bool has_blocks = block_layout(type).elements > 1;
  std::vector<GgufTensorToWrite> out;
  for (const GgufPlace& place : gguf_places(config)) {
    if (place.names[0].ends_with("kv_b_proj.weight")) {
      add_absorbed(config, place, has_blocks ? BlockType::kBF16 : type, source, out);
    } else {
      out.push_back(as_it_is(place, stored_type(place, type), source));
    }
  }
  return out;
}

std::vector<TensorToWrite> unstacked_tensors(const GgufModel& model, bool bf16) {
  std::vector<TensorToWrite> out;
  for (const GgufPlace& place : gguf_places(model.config())) {
    const int rows = place.rows, cols = place.cols;
    for (const std::string& name : place.names) {
      const bool narrow = bf16 && !name.ends_with("e_score_correction_bias");
      const auto fill = [&model, name, rows, cols, narrow](std::span<uint8_t> to) {
        quantise(narrow ? BlockType::kBF16 : BlockType::kF32,
                 floats_of(model.read(name, rows, cols).view).span(), to);
      };
      const std::vector<int64_t> shape =
          place.is_vector ? std::vector<int64_t>{cols} : std::vector<int64_t>{rows, cols};
      out.push_back({name, narrow ? "BF16" : "F32", shape, fill});
    }
  }
  return out;
}

}  // namespace shenhong
