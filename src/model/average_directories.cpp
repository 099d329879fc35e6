#include "model/average_directories.h"

#include "core/buffer.h"
#include "core/error.h"
#include "core/json.h"
#include "core/new_directory.h"
#include "model/weight_files.h"

namespace shenhong {
namespace {

bool is_float(const TensorView& tensor) {
  return tensor.dtype == "F32" || tensor.dtype == "BF16" || tensor.dtype == "F16";
}

// That a file of two models says the same.
void check_same(const fs::path& a, const fs::path& b, const char* file) {
  const auto read = [&](const fs::path& model) {
    const fs::path path = model / file;
    return parse_json(read_file(path), path.string());
  };
  SH_CHECK(read(a) == read(b), kUsage,
           "{}: its {} is another than that of {}; only models of one form and vocabulary have a "
           "mean",
           b.string(), file, a.string());
}

size_t tensors_of(const WeightFiles& files) {
  size_t count = 0;
  for (const Safetensors& file : files.files()) count += file.tensors().size();
  return count;
}

// Of all models one weight each, first the first's.
std::vector<const TensorView*> same_weights(const std::vector<fs::path>& models,
                                            const std::vector<WeightFiles>& files,
                                            const std::string& name) {
  std::vector<const TensorView*> out;
  for (size_t m = 0; m < files.size(); ++m) {
    const TensorView* tensor = files[m].find(name);
    SH_CHECK(tensor, kUsage, "{}: has no '{}', as {} has", models[m].string(), name,
             models[0].string());
    SH_CHECK(is_float(*tensor), kUsage,
             "{}: '{}' is stored as {}; take the mean before `shenhong quantize`",
             models[m].string(), name, tensor->dtype);
    SH_CHECK(out.empty() || tensor->shape == out[0]->shape, kBadInput,
             "{}: '{}' has another shape than in {}", models[m].string(), name, models[0].string());
    out.push_back(tensor);
  }
  return out;
}

Buffer<float> mean(const std::vector<const TensorView*>& weights, const std::string& name) {
  const int64_t size = weights[0]->elements();
  std::vector<double> sum(static_cast<size_t>(size));
  Buffer<float> values(size);
  for (const TensorView* weight : weights) {
    read_floats(*weight, name, values.span());
    for (int64_t i = 0; i < size; ++i) sum[size_t(i)] += values[i];
  }
  for (int64_t i = 0; i < size; ++i) values[i] = float(sum[size_t(i)] / double(weights.size()));
  return values;
}

void write_mean(const std::vector<fs::path>& models, const fs::path& out) {
  std::vector<WeightFiles> files;
  for (const fs::path& model : models) {
    check_same(models[0], model, "config.json");
    check_same(models[0], model, "tokenizer.json");
    files.emplace_back(model);
    SH_CHECK(tensors_of(files.back()) == tensors_of(files[0]), kUsage,
             "{}: has {} tensors; {} has {}", model.string(), tensors_of(files.back()),
             models[0].string(), tensors_of(files[0]));
  }
  std::vector<TensorToWrite> tensors;
  for (const Safetensors& file : files[0].files()) {
    for (const auto& [name, first] : file.tensors()) {
      const auto weights = same_weights(models, files, name);
      const bool bf16 = first.dtype == "BF16";
      const auto fill = [weights, name, bf16](std::span<uint8_t> to) {
        const Buffer<float> values = mean(weights, name);
        float_tensor(name, weights[0]->shape, values.span(), bf16).fill(to);
      };
      tensors.push_back({name, bf16 ? "BF16" : "F32", first.shape, fill});
    }
  }
  copy_beside_weights(models[0], out);
  write_safetensors(out / "model.safetensors", tensors, {{"format", "pt"}});
}

}  // namespace

void average_directories(const std::vector<fs::path>& models, const fs::path& out) {
  SH_CHECK(models.size() >= 2, kUsage, "a mean wants at least two models; {} was given",
           models.size());
  for (const fs::path& model : models)
    SH_CHECK(fs::is_directory(model), kBadInput,
             "{}: no such model directory; want one with config.json and model.safetensors",
             model.string());
  write_new_directory(out, [&](const fs::path& partial) { write_mean(models, partial); });
}

}  // namespace shenhong
