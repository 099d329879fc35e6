#include "model/precision.h"

#include <charconv>

#include "core/error.h"
#include "model/quantize_directory.h"

namespace shenhong {
namespace {

using enum NumberFormat;

constexpr std::pair<std::string_view, Precision> kPrecisions[] = {
    {"f32", Precision::kF32},     {"bf16", Precision::kBF16},   {"fp8", Precision::kFP8},
    {"nvfp4", Precision::kNVFP4}, {"mxfp4", Precision::kMXFP4}, {"int8", Precision::kInt8},
    {"mix", Precision::kMix}};

// Four bits spare this share of the blocks, the last ones (techniques 3.4).
constexpr int kSparedPercent = 15;

Arithmetic bf16_arithmetic() {
  constexpr Grid kGrid = {kBF16};
  Arithmetic a;
  a.input = a.weight = a.weight_back = a.gradient = kGrid;
  a.input_tokens = a.gradient_tokens = kGrid;
  a.kept_inputs = a.kept_stream = kBF16;
  return a;
}

Arithmetic fp8_arithmetic() {
  constexpr int kTile = kFP8Block;
  Arithmetic a;
  a.input = a.gradient = {kFP8, 1, kTile};
  a.weight = a.weight_back = {kFP8, kTile, kTile};
  a.input_tokens = a.gradient_tokens = {kFP8, kTile, 1};
  a.keeps_input_grid = true;
  a.kept_inputs = kFP8;
  a.kept_stream = kBF16;
  return a;
}

Arithmetic four_bit_arithmetic(NumberFormat format) {
  const int tile = format == kNVFP4 ? kNVFP4Block : kMXFP4Block;
  Arithmetic a;
  a.input = a.gradient = {format, 1, tile};
  a.input_tokens = a.gradient_tokens = {format, tile, 1};
  if (format == kNVFP4) {
    a.weight = a.weight_back = {format, tile, tile};
  } else {
    a.weight = {format, 1, tile};
    a.weight_back = {format, tile, 1};
  }
  a.hadamard = a.stochastic = true;
  a.kept_inputs = kFP8;
  a.kept_stream = kBF16;
  return a;
}

Arithmetic int8_arithmetic() {
  constexpr Grid kAcross = {kInt8, 1, kInt8Block}, kUpright = {kInt8, kInt8Block, 1};
  Arithmetic a;
  a.input = a.weight = a.gradient = kAcross;
  a.weight_back = a.input_tokens = a.gradient_tokens = kUpright;
  a.keeps_input_grid = true;
  a.kept_inputs = kInt8;
  a.kept_stream = kBF16;
  return a;
}

// Straight through: gradients meet the rounded weight and the rounded input, and are not rounded.
Arithmetic stored_arithmetic(NumberFormat format) {
  Arithmetic a;
  a.as_stored = format;
  if (takes_int8(format)) a.input = {kInt8, 1, kInt8Block};
  a.keeps_input_grid = true;
  return a;
}

// Of "model.layers.{i}.…"; -1 without.
int layer_of(const std::string& name) {
  constexpr std::string_view kPrefix = "model.layers.";
  if (!name.starts_with(kPrefix)) return -1;
  int layer = -1;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), layer);
  return layer;
}

}  // namespace

Precision precision_named(std::string_view name, std::string_view where) {
  std::string known;
  for (const auto& [text, precision] : kPrecisions) {
    if (text == name) return precision;
    known += (known.empty() ? "" : ", ") + std::string(text);
  }
  fail(Exit::kUsage, "{}: precision = '{}': known are {}", where, name, known);
}

Arithmetics::Arithmetics(Precision precision, int layers, bool tied, uint64_t seed)
    : precision_(precision), layers_(layers), tied_(tied) {
  const auto add = [&](NumberFormat format, Arithmetic arithmetic) {
    arithmetic.seed = seed;
    known_[format] = std::make_unique<Arithmetic>(arithmetic);
  };
  switch (precision) {
    case Precision::kF32:
      break;
    case Precision::kBF16:
      add(kBF16, bf16_arithmetic());
      break;
    case Precision::kFP8:
      add(kFP8, fp8_arithmetic());
      break;
    case Precision::kNVFP4:
    case Precision::kMXFP4: {
      const NumberFormat format = precision == Precision::kNVFP4 ? kNVFP4 : kMXFP4;
      add(format, four_bit_arithmetic(format));
      add(kBF16, bf16_arithmetic());
      break;
    }
    case Precision::kInt8:
      add(kInt8, int8_arithmetic());
      break;
    case Precision::kMix:
      for (const NumberFormat format : {kNVFP4, kInt8, kBF16})
        add(format, stored_arithmetic(format));
  }
}

const Arithmetic* Arithmetics::of(const std::string& name) const {
  if (known_.empty()) return nullptr;
  if (precision_ == Precision::kMix) {
    const NumberFormat format = format_of(Recipe::kMix, name, tied_);
    return format == kF32 ? nullptr : known_.at(format).get();
  }
  const int layer = layer_of(name);
  if (layer < 0 || name.ends_with("mlp.gate.weight") || name.ends_with("ngram_memory.embed.weight"))
    return nullptr;
  if (known_.size() == 1) return known_.begin()->second.get();
  const int spared = (layers_ * kSparedPercent + 99) / 100;
  const bool last = layer >= layers_ - spared;
  for (const auto& [format, arithmetic] : known_)
    if ((format == kBF16) == last) return arithmetic.get();
  return nullptr;
}

void Arithmetics::set_pass(uint64_t pass) {
  for (auto& [format, arithmetic] : known_) arithmetic->pass = pass;
}

bool has_bf16_moments(Precision precision) {
  return precision != Precision::kF32 && precision != Precision::kMix;
}

}  // namespace shenhong
