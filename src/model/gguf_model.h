// The tensors of a GGUF under the names of the checkpoint that it was made of, DeepSeek-V3's or
// Llama's. What has the same form here keeps its numbers exactly; the rest becomes float:
//
//   F32, F16          float    Q8_0   int8, where no number is -128
//   BF16              bf16     Q4_0   int4
//   Q5_0, Q5_1        float    Q4_1   uint4
//   Q4_K, Q5_K, Q6_K  float    MXFP4  mxfp4
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
  // place for, one that is missing or of another shape (with the metadata keys that ask for it).
  // Memory that is taken by the config is then in proportion to the file.
  explicit GgufModel(const fs::path& path);

  const ModelConfig& config() const { return config_; }
  const Gguf& file() const { return file_; }

  // A matrix [rows, cols] of the model; a vector has one row. Router biases that the file leaves
  // out are zero. Error(kBadInput) names the tensor that NaN or infinity is in.
  QuantizedBuffer read(const std::string& name, int rows, int cols) const;

 private:
  void check_all_known() const;
  void check_all_there() const;
  std::string where(const std::string& gguf) const;  // "path: 'name'"
  const GgufTensor& want(const std::string& gguf, const std::vector<int64_t>& shape) const;
  struct Absorbed {
    const GgufTensor &k, &v;
  };
  Absorbed want_absorbed(const std::string& undivided) const;
  QuantizedBuffer read_absorbed(const std::string& undivided) const;

  Gguf file_;
  ModelConfig config_;
  std::vector<GgufPlace> places_;
  std::map<std::string, std::pair<size_t, size_t>> index_;  // name -> index of place and of part
};

}  // namespace shenhong
