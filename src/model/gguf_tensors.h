// A model's tensors as a deepseek2 GGUF holds them, and the way back.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "kernels/quantized_matrix.h"
#include "model/config.h"
#include "model/gguf_model.h"

namespace shenhong {

// Gives a tensor by DeepSeek-V3's name, [rows, cols], in the number format that it is kept in.
using TensorSource = std::function<QuantizedBuffer(const std::string& name, int rows, int cols)>;

// In `type` (see can_quantise), but for gains and the router, which stay F32; what meets the latent
// cache and rows that blocks do not divide are no coarser than BF16. int8 becomes Q8_0 and int4
// Q4_0 exactly.
// Each tensor is asked for when its turn comes; `source` must live until then.
std::vector<GgufTensorToWrite> gguf_tensors(const ModelConfig& config, BlockType type,
                                            const TensorSource& source);

// The tensors of a GGUF as model.safetensors holds them, BF16 or F32; router biases stay F32.
// `model` must live until they are written.
std::vector<TensorToWrite> unstacked_tensors(const GgufModel& model, bool bf16);

}  // namespace shenhong
