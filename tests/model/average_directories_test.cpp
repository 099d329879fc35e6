#include "model/average_directories.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "core/error.h"
#include "formats/safetensors.h"
#include "model/model_directory.h"
#include "model/quantize_directory.h"
#include "model/toy.h"

namespace shenhong {
namespace {

class AverageDirectories : public testing::Test {
 protected:
  AverageDirectories() : root_(fs::temp_directory_path() / fmt::format("average-{}", ::getpid())) {
    fs::remove_all(root_);
    for (const int seed : {1, 2, 3}) save(seed, toy_config());
  }
  ~AverageDirectories() override { fs::remove_all(root_); }

  fs::path save(int seed, const ModelConfig& config, WeightFormat format = WeightFormat::kF32) {
    Model<float> model(config);
    model.initialize(uint64_t(seed));
    const fs::path directory = root_ / std::to_string(seed);
    fs::remove_all(directory);
    save_model(model, directory, format);
    write_file(directory / "tokenizer.json", "{\"model\": 1}");
    return directory;
  }
  std::vector<float> values(const fs::path& model, const std::string& name) const {
    const Safetensors file(model / "model.safetensors");
    std::vector<float> out(size_t(file.find(name)->elements()));
    read_floats(*file.find(name), name, out);
    return out;
  }
  std::string refusal(const std::vector<fs::path>& models) {
    try {
      average_directories(models, root_ / "out");
    } catch (const Error& error) {
      EXPECT_FALSE(fs::exists(root_ / "out"));
      EXPECT_FALSE(fs::exists(root_ / "out.partial"));
      return error.what();
    }
    return "nothing was refused";
  }

  const fs::path root_;
};

TEST_F(AverageDirectories, every_weight_is_the_mean) {
  const std::vector<fs::path> models = {root_ / "1", root_ / "2", root_ / "3"};
  average_directories(models, root_ / "out");
  const Safetensors out(root_ / "out" / "model.safetensors");
  ASSERT_EQ(out.tensors().size(), Safetensors(models[0] / "model.safetensors").tensors().size());
  for (const auto& [name, tensor] : out.tensors()) {
    const auto a = values(models[0], name), b = values(models[1], name),
               c = values(models[2], name), mean = values(root_ / "out", name);
    for (size_t i = 0; i < mean.size(); ++i)
      ASSERT_EQ(mean[i], float((double(a[i]) + double(b[i]) + double(c[i])) / 3)) << name;
  }
  EXPECT_EQ(read_file(root_ / "out" / "tokenizer.json"), "{\"model\": 1}");
  load_model(root_ / "out");
}

TEST_F(AverageDirectories, of_a_model_and_itself_it_is_that_model_to_the_bit) {
  const fs::path model = save(4, toy_config(), WeightFormat::kBF16);
  average_directories({model, model}, root_ / "out");
  EXPECT_EQ(read_file(root_ / "out" / "config.json"), read_file(model / "config.json"));
  const Safetensors in(model / "model.safetensors"), out(root_ / "out" / "model.safetensors");
  for (const auto& [name, tensor] : in.tensors()) {
    EXPECT_EQ(out.find(name)->dtype, tensor.dtype) << name;
    EXPECT_TRUE(std::ranges::equal(out.find(name)->bytes, tensor.bytes)) << name;
  }
}

TEST_F(AverageDirectories, what_has_no_mean_is_refused_by_name) {
  const fs::path first = root_ / "1";
  EXPECT_EQ(refusal({first}), "a mean wants at least two models; 1 was given");
  EXPECT_NE(refusal({first, root_ / "none"}).find("none: no such model directory"),
            std::string::npos);
  ModelConfig wider = toy_config();
  wider.hidden_size *= 2;
  EXPECT_NE(refusal({first, save(5, wider)}).find("its config.json is another than that of"),
            std::string::npos);
  write_file(root_ / "2" / "tokenizer.json", "{\"model\": 2}");
  EXPECT_NE(refusal({first, root_ / "2"}).find("its tokenizer.json is another than that of"),
            std::string::npos);
  quantize_directory(first, root_ / "few", Recipe::kFP8);
  EXPECT_NE(refusal({root_ / "few", root_ / "few"}).find("take the mean before"),
            std::string::npos);
}

TEST_F(AverageDirectories, nothing_is_written_over) {
  const std::string before = read_file(root_ / "3" / "model.safetensors");
  EXPECT_THROW(average_directories({root_ / "1", root_ / "2"}, root_ / "3"), Error);
  EXPECT_EQ(read_file(root_ / "3" / "model.safetensors"), before);
}

}  // namespace
}  // namespace shenhong
