// The tensors of a model directory by name, in whatever number format each is stored:
//
//   X.weight F32, F16, BF16            as they are (f16 becomes float)
//   X.weight F8_E4M3                   with X.weight_scale_inv F32 [⌈rows/128⌉, ⌈cols/128⌉],
//                                      as DeepSeek-V3
//   X.weight I8                        with X.weight_scale F16 [rows, cols/32]
//   X.weight_packed U8 [rows, cols/2]  with X.weight_scale F8_E4M3 [rows, cols/16] and
//                                      X.weight_global_scale F32 [1], which divides: nvfp4
//                                      with X.weight_scale U8 [rows, cols/32], E8M0: mxfp4
//                                      with X.weight_scale F16 [rows, cols/32]: int4, value + 8
//
// nvfp4 and mxfp4 are named and packed as in compressed-tensors.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "core/file.h"
#include "formats/safetensors.h"
#include "kernels/quantized_matrix.h"
#include "model/config.h"

namespace shenhong {

class WeightFiles {
 public:
  // Opens model.safetensors, or the shards that model.safetensors.index.json lists, and reads
  // config.json.
  explicit WeightFiles(const fs::path& directory);

  // config.json, whose every tensor was found in its shape: memory that is taken by it is in
  // proportion to the files. Prediction modules that they leave out are not counted. Error as read.
  ModelConfig checked_config() const;

  // A matrix [rows, cols]; a vector has one row. Error(kBadInput) names the tensor and what is
  // wrong: missing, of another shape (with the config keys that ask for it), NaN or infinity in it.
  // The selection biases that V2's routers lack are zeros. What is found may refer to the mapped
  // files, and so lives no longer than this.
  QuantizedBuffer read(const std::string& name, int rows, int cols) const;

  // Error(kBadInput) when a tensor was never read and `may_stay` does not excuse it.
  void check_all_read(const std::function<bool(const std::string& name)>& may_stay) const;

  const std::vector<Safetensors>& files() const { return files_; }
  const TensorView* find(const std::string& name) const;  // nullptr when there is none

 private:
  // What holds a matrix [rows, cols], in that shape; `packed`: two numbers to a byte.
  struct Held {
    const TensorView* tensor;
    bool packed;
  };
  Held want(const std::string& name, int rows, int cols) const;
  bool is_absent_bias(const std::string& name) const;
  // One that goes with another, of that dtype and shape.
  const TensorView& companion(const std::string& name, const char* dtype,
                              std::vector<int64_t> shape) const;
  QuantizedBuffer read_four_bits(const std::string& name, const TensorView& packed, int rows,
                                 int cols) const;

  fs::path directory_;
  std::vector<Safetensors> files_;
  ModelConfig config_;
  bool may_lack_biases_;
  mutable std::set<std::string> read_;
};

// Copies a model directory's files, all but the weights and their index, into another directory.
void copy_beside_weights(const fs::path& model, const fs::path& out);

// Copies of the embedding and the head in the multi-token-prediction layer, as published
// checkpoints hold them.
bool is_shared_copy(const std::string& name);

// Whether a tensor's layer, as a directory or a GGUF names it, comes after the `layers` of the
// trunk.
bool is_prediction_module(const std::string& name, int layers);

}  // namespace shenhong
