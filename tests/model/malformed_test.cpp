// Models that are cut, damaged or contradict themselves: refused with one line that names the
// thing, before memory is taken that the files have no bytes for.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <functional>

#include "core/error.h"
#include "formats/safetensors.h"
#include "heap_peak.h"
#include "model/gguf_config.h"
#include "model/gguf_tensors.h"
#include "model/model_directory.h"
#include "model/quantize_directory.h"
#include "model/toy.h"
#include "model/weight_files.h"

namespace shenhong {
namespace {

// A model as floats beside the bytes that it is read from, its names, and trees of JSON.
constexpr size_t kPerByte = 16, kBesides = 256 << 10;

size_t bytes_under(const fs::path& path) {
  if (fs::is_regular_file(path)) return fs::file_size(path);
  size_t sum = 0;
  for (const auto& entry : fs::directory_iterator(path)) sum += fs::file_size(entry);
  return sum;
}

template <class T>
std::string bytes_of(T number) {
  return std::string(reinterpret_cast<const char*>(&number), sizeof number);
}

class MalformedModel : public testing::Test {
 protected:
  void SetUp() override {
    const fs::path memory = "/dev/shm";  // hundreds of syncs cost nothing there
    root_ = (fs::exists(memory) ? memory : fs::temp_directory_path()) /
            fmt::format("malformed_model-{}", ::getpid());
    fs::remove_all(root_);
    directory_ = root_ / "model";
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(root_); }

  static const Model<float>& model() {
    static const auto toy = [] {
      auto made = std::make_unique<Model<float>>(toy_config());
      made->initialize(1);
      return made;
    }();
    return *toy;
  }
  void save() { save_model(model(), directory_, WeightFormat::kBF16); }
  // As two shards and an index.
  void save_sharded() {
    save();
    const Safetensors whole(directory_ / "model.safetensors");
    Json map = Json::object();
    std::vector<TensorToWrite> parts[2];
    for (const auto& [name, tensor] : whole.tensors()) {
      const size_t part = map.size() % 2;
      map[name] = fmt::format("part-{}.safetensors", part);
      parts[part].push_back(
          {name, tensor.dtype, tensor.shape, [bytes = tensor.bytes](std::span<uint8_t> out) {
             std::memcpy(out.data(), bytes.data(), bytes.size());
           }});
    }
    for (const int part : {0, 1})
      write_safetensors(directory_ / fmt::format("part-{}.safetensors", part), parts[part]);
    write_file(index(), dump_json({{"weight_map", map}}));
    fs::remove(directory_ / "model.safetensors");
  }
  fs::path save_gguf() {
    const TensorSource source = [&](const std::string& name, int, int) {
      QuantizedBuffer out;
      model().for_each_parameter([&](const Parameter<float>& p) {
        if (p.name == name) out = quantize(NumberFormat::kF32, p.rows, p.cols, p.w());
      });
      return out;
    };
    const fs::path path = root_ / "model.gguf";
    write_gguf(path, gguf_config_metadata(toy_config()),
               gguf_tensors(toy_config(), BlockType::kBF16, source));
    return path;
  }
  fs::path config() const { return directory_ / "config.json"; }
  fs::path weights() const { return directory_ / "model.safetensors"; }
  fs::path index() const { return directory_ / "model.safetensors.index.json"; }

  // What loading says; empty when it is loaded. Anything but a typed error fails the test.
  std::string why_not(const fs::path& path, size_t besides = kBesides) {
    std::string message;
    const size_t peak = heap_peak([&] {
      try {
        load_model(path);
      } catch (const Error& e) {
        EXPECT_EQ(e.code(), Exit::kBadInput) << e.what();
        message = e.what();
      } catch (const std::exception& e) {
        ADD_FAILURE() << "not a typed error: " << e.what();
      }
    });
    EXPECT_LE(peak, kPerByte * bytes_under(path) + besides) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  }
  std::string why_not() { return why_not(directory_); }

  // Every cut, or every `step`-th, of a file makes the model unreadable. What a text may lose is
  // its end of spaces, a GGUF the padding behind its last tensor.
  void expect_every_cut_refused(const fs::path& path, const fs::path& model_path, size_t step = 1) {
    ASSERT_EQ(why_not(model_path), "");
    const std::string whole = read_file(path);
    size_t needed = whole.size();
    if (path.extension() == ".json") needed = whole.find_last_not_of("\n ") + 1;
    if (path.extension() == ".gguf") needed -= 31;  // at the most
    for (size_t length = 0; length < needed; length += step) {
      write_file(path, whole.substr(0, length));
      const std::string message = why_not(model_path);
      ASSERT_NE(message.find(path.filename().string()), std::string::npos)
          << path.filename() << " cut to " << length << ": " << message;
    }
    write_file(path, whole);
  }

  fs::path root_, directory_;
};

TEST_F(MalformedModel, every_cut_of_every_file_is_refused_by_the_file_s_name) {
  save();
  expect_every_cut_refused(config(), directory_);
  expect_every_cut_refused(weights(), directory_, 7);
  save_sharded();
  expect_every_cut_refused(index(), directory_, 3);
  expect_every_cut_refused(directory_ / "part-1.safetensors", directory_, 7);
  const fs::path gguf = save_gguf();
  expect_every_cut_refused(gguf, gguf, 7);
}

TEST_F(MalformedModel, an_index_that_lies) {
  save_sharded();
  const Json good = parse_json(read_file(index()), "index");
  const auto with = [&](const std::function<void(Json&)>& change) {
    Json json = good;
    change(json);
    write_file(index(), dump_json(json));
    return why_not();
  };
  EXPECT_EQ(with([](Json&) {}), "");
  const std::string name = "model.norm.weight";
  EXPECT_NE(with([](Json& j) { j = Json::array(); }).find("weight_map"), std::string::npos);
  EXPECT_NE(with([](Json& j) { j = 3; }).find("weight_map"), std::string::npos);
  EXPECT_NE(with([](Json& j) { j["weight_map"] = 3; }).find("weight_map"), std::string::npos);
  EXPECT_NE(with([&](Json& j) { j["weight_map"][name] = 3; }).find(name), std::string::npos);
  for (const char* file : {"../model.gguf", "/etc/passwd", "", "..", "part-9.safetensors"})
    EXPECT_NE(with([&](Json& j) { j["weight_map"][name] = file; }), "") << file;
  EXPECT_NE(with([](Json& j) { j["weight_map"] = Json::object(); }).find("the files hold 0"),
            std::string::npos);
  EXPECT_NE(with([&](Json& j) { j["weight_map"]["a\nb"] = 3; }).find("'a\\nb'"), std::string::npos);
}

// Each key with values that no file of this size can mean.
TEST_F(MalformedModel, no_value_in_a_config_takes_memory_that_the_weights_have_no_bytes_for) {
  save();
  const Json good = parse_json(read_file(config()), "config");
  const std::vector<Json> hostile = {
      -1,         0,     1,    2,   255,    1 << 14, 1 << 24,       INT32_MAX,
      4294967297, 1e300, -0.5, 0.3, "text", true,    Json::array(), Json::object()};
  for (const auto& [key, old] : good.items()) {
    for (const Json& value : hostile) {
      Json json = good;
      json[key] = value;
      write_file(config(), dump_json(json));
      // What the files cannot bound is the number of positions: 2^20 of them at most.
      const bool positions = key == "max_position_embeddings" && value.is_number() && value > 255;
      why_not(directory_, positions ? size_t(64) << 20 : kBesides);
      ASSERT_FALSE(HasFailure()) << key << " = " << dump_json(value);
    }
  }
}

TEST_F(MalformedModel, no_value_in_a_gguf_takes_memory_that_the_file_has_no_bytes_for) {
  const fs::path path = save_gguf();
  const std::string whole = read_file(path);
  const auto keys = Gguf(path).metadata();
  size_t tried = 0;
  for (const auto& [key, value] : keys) {
    if (value.is_array || value.bytes.size() != 4) continue;
    // Length and name, the value's type, the value.
    const size_t at = whole.find(bytes_of(uint64_t(key.size())) + key) + 8 + key.size() + 4;
    for (const uint32_t bits : {0u, 1u, 2u, 255u, 1u << 14, 1u << 24, 0x7fffffffu, 0x80000000u, ~0u,
                                0x7f800000u, 0x7fc00000u, 0xff800000u}) {
      std::string bytes = whole;
      std::memcpy(bytes.data() + at, &bits, 4);
      write_file(path, bytes);
      const bool positions = key.ends_with(".context_length") && bits > 255;
      why_not(path, positions ? size_t(64) << 20 : kBesides);
      ASSERT_FALSE(HasFailure()) << key << " = " << bits;
      ++tried;
    }
  }
  EXPECT_GT(tried, 200u);
}

TEST_F(MalformedModel, a_contradiction_names_the_tensor_both_shapes_and_the_keys) {
  save();
  const Json good = parse_json(read_file(config()), "config");
  struct Case {
    const char* key;
    int value;
    const char* tensor;  // the first that contradicts
  };
  for (const Case& c : {Case{"hidden_size", 16, "model.embed_tokens.weight"},
                        {"vocab_size", 30, "model.embed_tokens.weight"},
                        {"num_attention_heads", 2, "q_proj.weight"},
                        {"kv_lora_rank", 8, "kv_a_proj_with_mqa.weight"},
                        {"qk_nope_head_dim", 6, "q_proj.weight"},
                        {"v_head_dim", 5, "kv_b_proj.weight"},
                        {"intermediate_size", 18, "mlp.gate_proj.weight"},
                        {"n_routed_experts", 4, "mlp.gate.weight"},
                        {"moe_intermediate_size", 10, "experts.0.gate_proj.weight"}}) {
    Json json = good;
    json[c.key] = c.value;
    write_file(config(), dump_json(json));
    const std::string message = why_not();
    for (const std::string part : {c.tensor, c.key, "asks for ["})
      EXPECT_NE(message.find(part), std::string::npos) << c.key << ": " << message;
  }
  Json json = good;
  json["q_lora_rank"] = 6;
  write_file(config(), dump_json(json));
  EXPECT_NE(why_not().find("q_a_proj.weight' is missing"), std::string::npos);
  json = good;
  json["num_hidden_layers"] = 1;
  write_file(config(), dump_json(json));
  EXPECT_NE(why_not(), "");  // what is the last layer now holds other tensors than a module
}

// Overwrites the number in the middle of a tensor.
void poke(const fs::path& path, const std::string& name, std::string_view number) {
  std::string file = read_file(path);
  uint64_t header_bytes;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  const Json header = parse_json(std::string_view(file).substr(8, header_bytes), "header");
  ASSERT_TRUE(header.contains(name)) << name;
  const auto begin = header[name]["data_offsets"][0].get<uint64_t>(),
             end = header[name]["data_offsets"][1].get<uint64_t>();
  const uint64_t middle = (end - begin) / number.size() / 2 * number.size();
  file.replace(8 + header_bytes + begin + middle, number.size(), number);
  write_file(path, file);
}

TEST_F(MalformedModel, a_number_that_is_none_is_refused_in_every_format_and_in_its_scales) {
  ModelConfig c = toy_config();  // in widths that every format has blocks for
  c.hidden_size = 64;
  c.kv_lora_rank = 32;
  c.num_attention_heads = 4;
  c.v_head_dim = 16;
  c.intermediate_size = 96;
  c.moe_intermediate_size = 32;
  Model<float> model(c);
  model.initialize(2);
  save_model(model, root_ / "float", WeightFormat::kF32);
  const std::string up = "model.layers.1.mlp.experts.1.up_proj.weight";
  const std::string float_nan = bytes_of(NAN), float_infinity = bytes_of(-INFINITY);
  const std::string f16_nan = bytes_of<uint16_t>(0x7e00), f16_infinity = bytes_of<uint16_t>(0x7c00);
  struct Case {
    Recipe recipe;
    std::string tensor, number;
  };
  const std::vector<Case> cases = {
      {Recipe::kBF16, up, bytes_of<uint16_t>(0x7fc0)},
      {Recipe::kBF16, up, bytes_of<uint16_t>(0xff80)},
      {Recipe::kBF16, "model.layers.0.input_layernorm.weight", float_nan},
      {Recipe::kBF16, "model.layers.1.mlp.gate.weight", float_infinity},
      {Recipe::kBF16, "model.layers.1.mlp.gate.e_score_correction_bias", float_nan},
      {Recipe::kFP8, up, "\x7f"},
      {Recipe::kFP8, up + "_scale_inv", float_nan},
      {Recipe::kFP8, up + "_scale_inv", float_infinity},
      {Recipe::kInt8, up + "_scale", f16_nan},
      {Recipe::kInt4, up + "_scale", f16_infinity},
      {Recipe::kNVFP4, up + "_scale", "\x7f"},
      {Recipe::kNVFP4, up + "_global_scale", float_nan},
      {Recipe::kNVFP4, up + "_global_scale", bytes_of(0.0f)},
      {Recipe::kMXFP4, up + "_scale", "\xff"},
  };
  for (const Case& bad : cases) {
    fs::remove_all(directory_);
    quantize_directory(root_ / "float", directory_, bad.recipe);
    ASSERT_EQ(why_not(), "");
    poke(weights(), bad.tensor, bad.number);
    EXPECT_NE(why_not().find(bad.tensor), std::string::npos) << bad.tensor << ": " << why_not();
  }
}

}  // namespace
}  // namespace shenhong
