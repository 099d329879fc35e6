// The GGUF container, versions 2 and 3, little endian: metadata of typed keys and values, a table
// of tensors, their bytes (docs: github.com/ggml-org/ggml, docs/gguf.md). Reading trusts nothing:
// every count, length, size and offset is checked against the file before use, memory grows with
// what was read and never with what a count promises; overlaps, holes, duplicate names and arrays
// of arrays are refused.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/file.h"
#include "formats/gguf_blocks.h"

namespace shenhong {

enum class GgufKind : uint32_t {  // the numbers are the file format's
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// A metadata value as it lies in the file, checked; Gguf's typed access decodes it.
struct GgufValue {
  GgufKind kind;                   // of the value, or of the elements
  bool is_array;                   // kind is never kArray
  uint64_t count;                  // elements; 1 for a single value
  std::span<const uint8_t> bytes;  // strings with their lengths
};

struct GgufTensor {
  BlockType type;
  std::vector<int64_t> shape;  // slowest first, as everywhere here; the file has it reversed
  std::span<const uint8_t> bytes;
  int64_t elements() const;
};

// A float32 stands for the shortest decimal that rounds to it: 1e-06, not 9.9999999747524e-07. A
// number that is no float32 stands for itself.
double shortest_decimal(double number);

// What it hands out are views of the mapped file: they live as long as it does.
class Gguf {
 public:
  // Maps the file and checks all of it but the tensors' numbers. Error(kBadInput) names path,
  // thing, value and limit.
  explicit Gguf(const fs::path& path);
  const fs::path& path() const { return path_; }
  const std::map<std::string, GgufTensor>& tensors() const { return tensors_; }
  const std::map<std::string, GgufValue>& metadata() const { return metadata_; }
  // nullptr when there is none of that name
  const GgufTensor* find(const std::string& name) const;
  bool has(const std::string& key) const { return metadata_.contains(key); }

  // Error(kBadInput) names the key and both types when the key is missing or holds something else.
  // Integers of any width and sign are one type as long as they fit int64_t, floats of both widths
  // another; an integer is not taken for a float, nor a single value for an array.
  std::string_view string(const std::string& key) const;
  int64_t integer(const std::string& key) const;
  double number(const std::string& key) const;
  // A number as its writer meant it, see shortest_decimal.
  double decimal(const std::string& key) const { return shortest_decimal(number(key)); }
  bool boolean(const std::string& key) const;
  std::vector<std::string_view> strings(const std::string& key) const;
  std::vector<int64_t> integers(const std::string& key) const;
  std::vector<double> numbers(const std::string& key) const;

 private:
  const GgufValue& want(const std::string& key, bool (*fits)(GgufKind), bool is_array,
                        const char* wanted) const;
  std::string where(const std::string& key) const;  // "path: 'key'"

  fs::path path_;
  MappedFile file_;
  std::map<std::string, GgufTensor> tensors_;
  std::map<std::string, GgufValue> metadata_;
};

// Dequantises into `out`; the count must match (checked). Error(kBadInput) on NaN or infinity,
// naming `name` and the position.
void read_floats(const GgufTensor& tensor, const std::string& name, std::span<float> out);

// A value's C++ type is its type in the file.
using GgufSetting = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool,
                                 std::string, uint64_t, int64_t, double, std::vector<std::string>,
                                 std::vector<int32_t>, std::vector<uint32_t>, std::vector<float>>;

struct GgufTensorToWrite {
  std::string name;  // at most 63 bytes, more is refused by readers of others
  BlockType type;
  std::vector<int64_t> shape;  // slowest first, at most four; the last one is whole blocks
  // Produces exactly the bytes of its blocks when its turn comes, so that no second copy of a model
  // exists.
  std::function<void(std::span<uint8_t>)> fill;
};

// Version 3, alignment 32. Metadata and tensors are laid out in the order given. Written to a
// temporary name, synced, renamed. Error(kResources) when the disk is full.
void write_gguf(const fs::path& path,
                const std::vector<std::pair<std::string, GgufSetting>>& metadata,
                const std::vector<GgufTensorToWrite>& tensors);

// Ready-made GgufTensorToWrite for float data held elsewhere, stored as `type` (see can_quantise).
GgufTensorToWrite gguf_float_tensor(std::string name, std::vector<int64_t> shape,
                                    std::span<const float> data, BlockType type);

}  // namespace shenhong
