// The tensors of a deepseek2 GGUF under DeepSeek-V3's names. What has the same form here keeps its
// numbers exactly; the rest becomes float:
//
//   F32, F16    float          Q8_0   int8, where no number is -128
//   BF16        bf16           Q4_0   int4
//   Q4_K, Q6_K  float          MXFP4  mxfp4
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "formats/gguf.h"
#include "kernels/quantized_matrix.h"
#include "model/config.h"
#include "model/gguf_names.h"

namespace shenhong {

// Whether a path means a GGUF file and not a model directory: by its name, whether it exists or
// not.
bool is_gguf(const fs::path& model);

class GgufModel {
 public:
  // Error(kBadInput): another architecture, a bad metadata value, a tensor that the model has no
  // place for.
  explicit GgufModel(const fs::path& path);

  const ModelConfig& config() const { return config_; }
  const Gguf& file() const { return file_; }

  // A matrix [rows, cols] of the model; a vector has one row. Router biases that the file leaves
  // out are zero. Error(kBadInput) names the tensor and what is wrong: missing, of another shape
  // (with the metadata keys that ask for it), NaN or infinity in it.
  QuantizedBuffer read(const std::string& name, int rows, int cols) const;

 private:
  void check_all_known() const;
  std::string where(const std::string& gguf) const;  // "path: 'name'"
  const GgufTensor& want(const std::string& gguf, const std::vector<int64_t>& shape) const;
  QuantizedBuffer read_absorbed(const std::string& undivided) const;

  Gguf file_;
  ModelConfig config_;
  std::vector<GgufPlace> places_;
  std::map<std::string, std::pair<size_t, size_t>> index_;  // name -> index of place and of part
};

}  // namespace shenhong
