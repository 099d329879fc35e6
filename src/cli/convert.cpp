// shenhong convert IN OUT: a model directory as a GGUF file, or the other way.
#include <CLI/CLI.hpp>

#include <cstdio>
#include <map>
#include <memory>

#include "cli/verbs.h"
#include "core/progress.h"
#include "infer/generation_config.h"
#include "infer/model_text.h"
#include "model/gguf_model.h"
#include "model/gguf_tensors.h"
#include "model/weight_files.h"

namespace shenhong {
namespace {

struct Options {
  std::string in, out, type = "bf16";
  bool force = false, json = false;
};

struct WeightType {
  BlockType type;
  uint32_t file_type;  // the number of general.file_type
  bool in_directory;   // whether model.safetensors can be of this type
};

const std::map<std::string, WeightType> kTypes = {{"f32", {BlockType::kF32, 0, true}},
                                                  {"f16", {BlockType::kF16, 1, false}},
                                                  {"bf16", {BlockType::kBF16, 32, true}},
                                                  {"q8_0", {BlockType::kQ8_0, 7, false}},
                                                  {"q4_0", {BlockType::kQ4_0, 2, false}}};
constexpr uint32_t kQuantizationVersion = 2;  // of the block formats, as GGUF counts them

// What is being written stands beside OUT under another name until it is whole.
class Unfinished {
 public:
  explicit Unfinished(const fs::path& out) : out_(out), path_(out.string() + ".part") {
    fs::remove_all(path_);
  }
  ~Unfinished() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;

  const fs::path& path() const { return path_; }
  void take_place() {
    if (fs::is_directory(out_)) fs::remove_all(out_);
    fs::rename(path_, out_);
    fsync_path(out_.has_parent_path() ? out_.parent_path() : fs::path("."));
  }

 private:
  fs::path out_, path_;
};

// Also with --force no directory is removed that is not a model's, nor one that holds the input.
void check_place(const fs::path& in, const fs::path& out, bool force) {
  if (!fs::exists(out)) return;
  SH_CHECK(force, kUsage, "{}: exists already; --force replaces it", out.string());
  SH_CHECK(!fs::is_directory(out) || fs::exists(out / "config.json"), kUsage,
           "{}: is a directory without config.json, no model; it is not replaced", out.string());
  const fs::path from = fs::weakly_canonical(in), to = fs::weakly_canonical(out);
  const fs::path inside = from.lexically_relative(to);
  SH_CHECK(inside.empty() || *inside.begin() == "..", kUsage,
           "{}: holds {}, which would be lost; write to another place", out.string(), in.string());
}

template <class Tensor>
int64_t elements_of(const Tensor& tensor) {
  int64_t count = 1;
  for (const int64_t size : tensor.shape) count *= size;
  return count;
}

// Lets the tensors report when they are written.
template <class Tensor>
std::unique_ptr<Progress> follow(std::vector<Tensor>& tensors) {
  int64_t total = 0;
  for (const Tensor& tensor : tensors) total += elements_of(tensor);
  auto progress = std::make_unique<Progress>("convert", total);
  int64_t done = 0;
  for (Tensor& tensor : tensors) {
    done += elements_of(tensor);
    tensor.fill = [fill = std::move(tensor.fill), &progress = *progress, done,
                   name = tensor.name](std::span<uint8_t> out) {
      fill(out);
      progress.update(done, name);
    };
  }
  return progress;
}

// Both return the number of tensors.

size_t to_gguf(const fs::path& in, const std::string& name, const fs::path& out,
               const WeightType& type) {
  SH_CHECK(fs::is_directory(in), kBadInput,
           "{}: no such model directory; want one with config.json and model.safetensors",
           in.string());
  const WeightFiles files(in);
  const ModelConfig config = files.checked_config();
  GgufMetadata metadata = gguf_config_metadata(config);
  metadata.emplace_back("general.name", name);
  metadata.emplace_back("general.file_type", type.file_type);
  metadata.emplace_back("general.quantization_version", kQuantizationVersion);
  const GgufMetadata text = gguf_text_metadata(load_tokenizer(in), load_chat_template(in), config,
                                               (in / "tokenizer.json").string());
  metadata.insert(metadata.end(), text.begin(), text.end());
  const GgufMetadata generation =
      gguf_generation_metadata(read_generation_config(in, config), config);
  metadata.insert(metadata.end(), generation.begin(), generation.end());

  const TensorSource source = [&](const std::string& tensor, int rows, int cols) {
    return files.read(tensor, rows, cols);
  };
  std::vector<GgufTensorToWrite> tensors = gguf_tensors(config, type.type, source);
  const auto progress = follow(tensors);
  write_gguf(out, metadata, tensors);
  files.check_all_read(is_shared_copy);
  progress->finish();
  return tensors.size();
}

size_t to_directory(const fs::path& in, const fs::path& out, const WeightType& type) {
  const GgufModel model(in);
  SH_CHECK(!model.config().grouped_query.on(), kUsage,
           "{}: a model with grouped-query attention (Llama's form) runs from this file; it is not "
           "written as a directory",
           in.string());
  const Tokenizer tokenizer = load_tokenizer(in);
  const ChatTemplate chat = load_chat_template(in);
  const GenerationConfig generation = read_generation_config(in, model.config());
  std::vector<TensorToWrite> tensors = unstacked_tensors(model, type.type == BlockType::kBF16);
  const auto progress = follow(tensors);
  write_file(out / "config.json", write_config(model.config()));
  write_safetensors(out / "model.safetensors", tensors, {{"format", "pt"}});
  save_tokenizer_files(tokenizer, chat, out);
  write_file(out / "generation_config.json", write_generation_config(generation, model.config()));
  progress->finish();
  return tensors.size();
}

void convert(const Options& options) {
  const fs::path in = options.in;
  fs::path out = fs::path(options.out).lexically_normal();
  if (!out.has_filename()) out = out.parent_path();
  SH_CHECK(is_gguf(in) != is_gguf(out), kUsage,
           "{} to {}: one of the two must be a .gguf file, the other a model directory",
           in.string(), out.string());
  const WeightType& type = kTypes.at(options.type);
  SH_CHECK(is_gguf(out) || type.in_directory, kUsage,
           "--type {}: a model directory is written in bf16 or f32", options.type);
  check_place(in, out, options.force);

  Unfinished unfinished(out);
  const size_t tensors = is_gguf(out) ? to_gguf(in, out.stem().string(), unfinished.path(), type)
                                      : to_directory(in, unfinished.path(), type);
  unfinished.take_place();
  const uintmax_t bytes = fs::file_size(is_gguf(out) ? out : out / "model.safetensors");
  if (options.json) {
    std::puts(dump_json({{"out", out.string()},
                         {"type", options.type},
                         {"tensors", tensors},
                         {"weight_file_bytes", bytes}})
                  .c_str());
  } else {
    fmt::print("{}: {} tensors, {:.1f} MB, {}\n", out.string(), tensors, double(bytes) / 1e6,
               options.type);
  }
}

}  // namespace

void add_convert(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("convert", "a model directory as a GGUF file, or back");
  verb->add_option("in", options->in, "model directory or .gguf file")->required();
  verb->add_option("out", options->out, "the other of the two, which is written")->required();
  verb->add_option("--type", options->type,
                   "of the weights: bf16 or f32, in a .gguf file also f16, q8_0 or q4_0; norms and "
                   "routers stay f32 there")
      ->check(CLI::IsMember(kTypes))
      ->capture_default_str();
  verb->add_flag("--force", options->force, "replace what is there");
  verb->add_flag("--json", options->json, "print one JSON object");
  verb->footer(
      "Tokenizer, chat template and generation_config.json go along.\nExamples:\n"
      "  shenhong convert models/shenhong-mini shenhong-mini.gguf --type q8_0\n"
      "  shenhong convert shenhong-mini.gguf models/copy\n"
      "  shenhong generate --model shenhong-mini.gguf '写一首五言绝句'");
  verb->callback([options] { convert(*options); });
}

}  // namespace shenhong
