#include "model/gguf_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "core/error.h"
#include "core/floats.h"
#include "core/json.h"
#include "core/parallel.h"
#include "core/quoted.h"
#include "model/gguf_config.h"

namespace shenhong {
namespace {

// The metadata keys that decide a tensor's shape, for the error that reports a contradiction.
std::string shape_keys(const std::string& name, bool grouped_query) {
  const auto has = [&](const char* part) { return name.find(part) != name.npos; };
  if (grouped_query && has("attn_") && !has("attn_norm"))
    return "embedding_length, attention.head_count, attention.head_count_kv, "
           "attention.key_length";
  if (has("token_embd") || name == "output.weight") return "vocab_size, embedding_length";
  if (has("attn_kv_a")) return "attention.kv_lora_rank, rope.dimension_count, embedding_length";
  if (has("attn_kv_b") || has("attn_k_b") || has("attn_v_b"))
    return "attention.head_count, attention.key_length_mla, attention.value_length_mla, "
           "rope.dimension_count, attention.kv_lora_rank";
  if (has("attn_q"))
    return "attention.head_count, attention.key_length_mla, attention.q_lora_rank, "
           "embedding_length";
  if (has("attn_output"))
    return "embedding_length, attention.head_count, attention.value_length_mla";
  if (has("ffn_gate_inp") || has("exp_probs")) return "expert_count, embedding_length";
  if (has("exps") || has("shexp"))
    return "expert_count, expert_feed_forward_length, expert_shared_count, embedding_length";
  if (has("ffn_gate") || has("ffn_up") || has("ffn_down"))
    return "feed_forward_length, embedding_length";
  return "embedding_length";
}

// Copies of the embedding and the head in a multi-token-prediction module.
bool is_shared_copy(const std::string& gguf) {
  return gguf.ends_with("nextn.embed_tokens.weight") ||
         gguf.ends_with("nextn.shared_head_head.weight");
}

QuantizedBuffer allocate(NumberFormat format, int rows, int cols) {
  QuantizedBuffer q;
  q.numbers.resize(number_bytes(format, rows, cols));
  q.scales.resize(scale_bytes(format, rows, cols));
  q.view = {format, rows, cols, q.numbers.span(), q.scales.span()};
  return q;
}

uint16_t load_16(const uint8_t* bytes) {
  uint16_t bits;
  std::memcpy(&bits, bytes, 2);
  return bits;
}

// Part of a GGUF tensor, rows of whole blocks.
struct Rows {
  std::string where;  // for errors: "path: 'name'"
  BlockType type;
  std::span<const uint8_t> bytes;
  int rows, cols;

  int64_t blocks() const { return int64_t(bytes.size()) / block_layout(type).bytes; }
  const uint8_t* block(int64_t i) const { return bytes.data() + i * block_layout(type).bytes; }
};

// run(i) for all blocks, on all threads; the error of the first bad one reaches the caller.
template <class Run>
void for_blocks(const Rows& from, const Run& run) {
  constexpr int64_t kAtOnce = 4096;
  parallel_ranges(from.blocks(), kAtOnce, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) run(i);
  });
}

QuantizedBuffer as_floats(const Rows& from) {
  QuantizedBuffer q = allocate(NumberFormat::kF32, from.rows, from.cols);
  const int64_t elements = block_layout(from.type).elements;
  const size_t bytes = size_t(block_layout(from.type).bytes);
  float* out = reinterpret_cast<float*>(q.numbers.data());
  for_blocks(from, [&](int64_t i) {
    dequantise(from.type, {from.block(i), bytes}, {out + i * elements, size_t(elements)});
    for (int64_t k = i * elements; k < (i + 1) * elements; ++k)
      SH_CHECK(std::isfinite(out[k]), kBadInput, "{}: element {} is {}", from.where, k, out[k]);
  });
  return q;
}

QuantizedBuffer as_bf16(const Rows& from) {
  QuantizedBuffer q = allocate(NumberFormat::kBF16, from.rows, from.cols);
  for_blocks(from, [&](int64_t i) {
    const float value = bf16_to_float(load_16(from.block(i)));
    SH_CHECK(std::isfinite(value), kBadInput, "{}: element {} is {}", from.where, i, value);
    std::memcpy(q.numbers.data() + 2 * i, from.block(i), 2);
  });
  return q;
}

// int8 has no -128. Quantising to Q8_0 never makes one, but a file may hold it.
bool has_least_int8(const Rows& from) {
  for (int64_t i = 0; i < from.blocks(); ++i)
    if (std::memchr(from.block(i) + 2, 0x80, kInt8Block)) return true;
  return false;
}

// The f16 at `at` of block i, which must be finite.
void check_scale(const Rows& from, int64_t i, int at, const char* what) {
  const float value = f16_to_float(load_16(from.block(i) + at));
  SH_CHECK(std::isfinite(value), kBadInput, "{}: the {} of block {} is {}", from.where, what, i,
           value);
}

QuantizedBuffer as_int8(const Rows& from) {
  QuantizedBuffer q = allocate(NumberFormat::kInt8, from.rows, from.cols);
  for_blocks(from, [&](int64_t i) {
    check_scale(from, i, 0, "scale");
    std::memcpy(q.scales.data() + 2 * i, from.block(i), 2);
    std::memcpy(q.numbers.data() + kInt8Block * i, from.block(i) + 2, kInt8Block);
  });
  return q;
}

// The lower halves of a GGUF block's 16 bytes are its first 16 elements, here they are the even
// ones.
constexpr int kPairs = 16;

// Eight codes, a byte each, two by two into a byte, the first low.
uint32_t pair_up(uint64_t codes) {
  codes = (codes | codes >> 4) & 0x00ff00ff00ff00ff;
  codes = (codes | codes >> 8) & 0x0000ffff0000ffff;
  return uint32_t(codes | codes >> 16);
}

void copy_pairs(const uint8_t* from, uint8_t* to) {
  for (const int shift : {0, 4}) {
    for (int half = 0; half < 2; ++half, to += 4) {
      uint64_t eight;
      std::memcpy(&eight, from + 8 * half, sizeof eight);
      const uint32_t pairs = pair_up(eight >> shift & 0x0f0f0f0f0f0f0f0f);
      std::memcpy(to, &pairs, sizeof pairs);
    }
  }
}

QuantizedBuffer as_int4(const Rows& from) {
  QuantizedBuffer q = allocate(NumberFormat::kInt4, from.rows, from.cols);
  for_blocks(from, [&](int64_t i) {
    check_scale(from, i, 0, "scale");
    std::memcpy(q.scales.data() + 2 * i, from.block(i), 2);
    copy_pairs(from.block(i) + 2, q.numbers.data() + i * kPairs);
  });
  return q;
}

QuantizedBuffer as_uint4(const Rows& from) {
  QuantizedBuffer q = allocate(NumberFormat::kUint4, from.rows, from.cols);
  for_blocks(from, [&](int64_t i) {
    check_scale(from, i, 0, "scale");
    check_scale(from, i, 2, "offset");
    std::memcpy(q.scales.data() + 4 * i, from.block(i), 4);
    copy_pairs(from.block(i) + 4, q.numbers.data() + i * kPairs);
  });
  return q;
}

// The codes mean the same but for 8, which is minus zero here and zero in GGUF.
QuantizedBuffer as_mxfp4(const Rows& from) {
  constexpr float kMostE2M1 = 6;
  QuantizedBuffer q = allocate(NumberFormat::kMXFP4, from.rows, from.cols);
  for_blocks(from, [&](int64_t i) {
    const uint8_t* block = from.block(i);
    SH_CHECK(std::isfinite(kMostE2M1 * e8m0_to_float(block[0])), kBadInput,
             "{}: the exponent of block {} is {}, beyond float", from.where, i, block[0]);
    q.scales[i] = block[0];
    uint8_t plain[kPairs];
    for (int k = 0; k < kPairs; ++k) {
      const uint8_t low = block[1 + k] & 15, high = block[1 + k] >> 4;
      plain[k] = uint8_t((low == 8 ? 0 : low) | (high == 8 ? 0 : high << 4));
    }
    copy_pairs(plain, q.numbers.data() + i * kPairs);
  });
  return q;
}

QuantizedBuffer convert(const Rows& from) {
  switch (from.type) {
    case BlockType::kBF16:
      return as_bf16(from);
    case BlockType::kQ8_0:
      return has_least_int8(from) ? as_floats(from) : as_int8(from);
    case BlockType::kQ4_0:
      return as_int4(from);
    case BlockType::kQ4_1:
      return as_uint4(from);
    case BlockType::kMXFP4:
      return as_mxfp4(from);
    case BlockType::kF32:
    case BlockType::kF16:
    case BlockType::kQ5_0:
    case BlockType::kQ5_1:
    case BlockType::kQ4_K:
    case BlockType::kQ5_K:
    case BlockType::kQ6_K:
      break;
  }
  return as_floats(from);
}

bool is_kv_b(const GgufPlace& place) { return place.names[0].ends_with("kv_b_proj.weight"); }
bool is_router_bias(const GgufPlace& place) {
  return place.names[0].ends_with("e_score_correction_bias");
}

}  // namespace

bool is_gguf(const fs::path& model) {
  return model.extension() == ".gguf" && !fs::is_directory(model);
}

GgufModel::GgufModel(const fs::path& path)
    : file_(path), config_(read_gguf_config(file_)), places_(gguf_places(config_)) {
  for (size_t p = 0; p < places_.size(); ++p)
    for (size_t part = 0; part < places_[p].names.size(); ++part)
      index_[places_[p].names[part]] = {p, part};
  check_all_known();
  check_all_there();
}

void GgufModel::check_all_known() const {
  std::set<std::string> known;
  if (config_.grouped_query.on()) known.insert(kRopeDivisors);
  for (const GgufPlace& place : places_) {
    known.insert(place.gguf);
    if (is_kv_b(place))
      for (const char* part : {"attn_k_b", "attn_v_b"})
        known.insert(absorbed_name(place.gguf, part));
  }
  for (const auto& [name, ignored] : file_.tensors())
    SH_CHECK(known.contains(name) || is_shared_copy(name), kBadInput,
             "{}: holds the tensor {}, which its metadata has no place for", file_.path().string(),
             in_quotes(name));
}

void GgufModel::check_all_there() const {
  for (const GgufPlace& place : places_) {
    if (is_kv_b(place) && file_.find(absorbed_name(place.gguf, "attn_k_b"))) {
      want_absorbed(place.gguf);
    } else if (!is_router_bias(place) || file_.find(place.gguf)) {
      want(place.gguf, place.shape());
    }
  }
}

std::string GgufModel::where(const std::string& gguf) const {
  return fmt::format("{}: '{}'", file_.path().string(), gguf);
}

const GgufTensor& GgufModel::want(const std::string& gguf,
                                  const std::vector<int64_t>& shape) const {
  const GgufTensor* tensor = file_.find(gguf);
  SH_CHECK(tensor, kBadInput, "{}: tensor '{}' is missing, which its metadata asks for",
           file_.path().string(), gguf);
  SH_CHECK(tensor->shape == shape, kBadInput, "{} is {}; its metadata ({}) asks for {}",
           where(gguf), dump_json(Json(tensor->shape)),
           shape_keys(gguf, config_.grouped_query.on()), dump_json(Json(shape)));
  return *tensor;
}

QuantizedBuffer GgufModel::read(const std::string& name, int rows, int cols) const {
  const auto found = index_.find(name);
  SH_ASSERT(found != index_.end());
  const auto [at, part] = found->second;
  const GgufPlace& place = places_[at];
  SH_ASSERT(place.rows == rows && place.cols == cols);
  if (is_kv_b(place) && file_.find(absorbed_name(place.gguf, "attn_k_b")))
    return read_absorbed(place.gguf);
  if (is_router_bias(place) && !file_.find(place.gguf)) {
    QuantizedBuffer zeros = allocate(NumberFormat::kF32, rows, cols);
    zeros.numbers.zero();
    return zeros;
  }
  const GgufTensor& tensor = want(place.gguf, place.shape());
  const size_t size = tensor.bytes.size() / place.names.size();
  return convert(
      {where(place.gguf), tensor.type, tensor.bytes.subspan(part * size, size), rows, cols});
}

GgufModel::Absorbed GgufModel::want_absorbed(const std::string& undivided) const {
  const int H = config_.num_attention_heads, R = config_.kv_lora_rank;
  return {want(absorbed_name(undivided, "attn_k_b"), {H, R, config_.qk_nope_head_dim}),
          want(absorbed_name(undivided, "attn_v_b"), {H, config_.v_head_dim, R})};
}

QuantizedBuffer GgufModel::read_absorbed(const std::string& undivided) const {
  const int H = config_.num_attention_heads, Dn = config_.qk_nope_head_dim;
  const int Dv = config_.v_head_dim, R = config_.kv_lora_rank;
  const auto floats = [&](const std::string& name, const GgufTensor& tensor, int rows, int cols) {
    return as_floats({where(name), tensor.type, tensor.bytes, rows, cols});
  };
  const auto [k, v] = want_absorbed(undivided);
  const QuantizedBuffer keys = floats(absorbed_name(undivided, "attn_k_b"), k, H * R, Dn),
                        values = floats(absorbed_name(undivided, "attn_v_b"), v, H * Dv, R);
  const auto* from_k = reinterpret_cast<const float*>(keys.numbers.data());
  const auto* from_v = reinterpret_cast<const float*>(values.numbers.data());

  Buffer<float> joined(int64_t(H) * (Dn + Dv) * R);
  for (int64_t h = 0; h < H; ++h) {
    float* to = joined.data() + h * (Dn + Dv) * R;
    for (int64_t n = 0; n < Dn; ++n)
      for (int64_t r = 0; r < R; ++r) to[n * R + r] = from_k[(h * R + r) * Dn + n];
    std::copy_n(from_v + h * Dv * R, int64_t(Dv) * R, to + int64_t(Dn) * R);
  }
  const bool narrow = k.type == BlockType::kBF16 && v.type == BlockType::kBF16;
  return quantize(narrow ? NumberFormat::kBF16 : NumberFormat::kF32, H * (Dn + Dv), R,
                  joined.data());
}

}  // namespace shenhong
