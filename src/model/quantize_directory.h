// A model directory in another number format: the matrices are quantised one by one, everything
// else goes along as it is.
#pragma once

#include <string>
#include <string_view>

#include "core/file.h"
#include "kernels/panels.h"

namespace shenhong {

// What `shenhong quantize --format` offers. One format for all matrices, or a mixture:
//   fp8          DeepSeek-V3's own: linear layers in E4M3, embedding, head and router untouched
//   int8         all but embedding, router and the latents' up-projection
//   int4 nvfp4 mxfp4
//                likewise in four bits, the head and what shares its weight in int8
//   mix          routed experts in nvfp4, the rest as in int8: small where the bytes are, exact
//                where every token passes (techniques 3.5)
enum class Recipe { kBF16, kFP8, kInt8, kInt4, kNVFP4, kMXFP4, kMix };

// Error(kUsage) lists the names.
Recipe parse_recipe(std::string_view name);

// The format of a tensor by its name. `tied`: the embedding is the head, too.
NumberFormat format_of(Recipe recipe, const std::string& name, bool tied);

// Writes `out`, which must not exist: config.json with a quantization_config, model.safetensors,
// and every other file of `in` as it is. A matrix that is quantised already becomes float first.
// Error(kUsage) names a matrix whose rows are no whole blocks of its format; nothing is left
// behind.
void quantize_directory(const fs::path& in, const fs::path& out, Recipe recipe);

}  // namespace shenhong
