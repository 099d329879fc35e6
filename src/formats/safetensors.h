// The safetensors container: an 8-byte little-endian header length, a JSON header, raw tensors.
// Format: github.com/huggingface/safetensors. Reading trusts nothing: every length, shape and
// offset is checked against the file before use; overlaps, holes and duplicate names are refused.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/file.h"

namespace shenhong {

struct TensorView {
  std::string dtype;  // "F32", "BF16", "I64", ...
  std::vector<int64_t> shape;
  std::span<const uint8_t> bytes;
  int64_t elements() const;
};

class Safetensors {
 public:
  // Maps the file and checks all of its header. Error(kBadInput) names path, tensor, value and
  // limit.
  explicit Safetensors(const fs::path& path);
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // nullptr when there is none of that name
  const TensorView* find(const std::string& name) const;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  MappedFile file_;
  std::map<std::string, TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
};

// Converts F32, F16, BF16 or F64 elements into `out`; the count must match (checked).
// Error(kBadInput) on another dtype and on NaN or infinity, naming `name` and the position.
void read_floats(const TensorView& tensor, const std::string& name, std::span<float> out);

struct TensorToWrite {
  std::string name, dtype;  // dtype F32, BF16 (from float data), F64, I64, I32, U8: see `fill`
  std::vector<int64_t> shape;
  // Produces exactly elements * width bytes when its turn comes, so that no second copy of a model
  // exists.
  std::function<void(std::span<uint8_t>)> fill;
};

// Tensors are laid out in the order given. Written to a temporary name, synced, renamed.
void write_safetensors(const fs::path& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

// Ready-made TensorToWrite for float data held elsewhere; bf16 rounds to nearest even.
TensorToWrite float_tensor(std::string name, std::vector<int64_t> shape,
                           std::span<const float> data, bool bf16);
template <class T>  // int64_t, int32_t, double, uint8_t
TensorToWrite plain_tensor(std::string name, std::vector<int64_t> shape, std::span<const T> data);

}  // namespace shenhong
