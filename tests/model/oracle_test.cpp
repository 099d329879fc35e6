// Against PyTorch: tests/golden/dsv3_tiny was written by tests/oracle/dsv3_golden.py.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "formats/safetensors.h"
#include "model/model_directory.h"

namespace shenhong {
namespace {

const fs::path kGolden = fs::path(SHENHONG_SOURCE_DIR) / "tests/golden/dsv3_tiny";
constexpr double kMtpWeight = 0.3;

std::vector<float> floats(const Safetensors& file, const std::string& name) {
  const TensorView* tensor = file.find(name);
  EXPECT_TRUE(tensor) << name;
  std::vector<float> values(size_t(tensor ? tensor->elements() : 0));
  if (tensor) read_floats(*tensor, name, values);
  return values;
}

// Largest difference, relative to the largest magnitude.
double relative_error(std::span<const float> ours, std::span<const float> theirs) {
  EXPECT_EQ(ours.size(), theirs.size());
  double scale = 0, worst = 0;
  for (size_t i = 0; i < theirs.size(); ++i) {
    scale = std::max(scale, std::abs(double(theirs[i])));
    worst = std::max(worst, std::abs(double(ours[i]) - theirs[i]));
  }
  return scale > 0 ? worst / scale : worst;
}

class Oracle : public testing::Test {
 protected:
  void SetUp() override {
    const ModelConfig& c = model->config();
    const TensorView* tokens = io.find("tokens");
    ASSERT_TRUE(tokens && tokens->dtype == "I64");
    const int columns = int(tokens->shape[1]);
    batch.B = int(tokens->shape[0]);
    batch.T = columns - 1 - c.num_nextn_predict_layers;
    for (int b = 0; b < batch.B; ++b)
      for (int t = 0; t + 1 < columns; ++t) {
        int64_t pair[2];
        std::memcpy(pair, tokens->bytes.data() + (size_t(b) * columns + t) * 8, 16);
        batch.tokens.push_back(int(pair[0]));
        batch.targets.push_back(int(pair[1]));
      }
  }
  std::unique_ptr<Model<float>> model = load_model(kGolden);
  const Safetensors io{kGolden / "io.safetensors"};
  Batch batch;
};

TEST_F(Oracle, logits_of_both_heads_are_pytorchs) {
  Buffer<float> logits;
  model->logits(batch, 0, logits);
  EXPECT_LE(relative_error(logits.span(), floats(io, "logits")), 1e-5);
  model->logits(batch, 1, logits);
  EXPECT_LE(relative_error(logits.span(), floats(io, "mtp_logits")), 1e-5);
}

TEST_F(Oracle, losses_and_every_gradient_are_pytorchs) {
  const double N = double(batch.B) * batch.T;
  model->allocate_gradients();
  const LossSums sums = model->forward_backward(batch, 1 / N, kMtpWeight / N);
  const std::vector<float> losses = floats(io, "losses");
  EXPECT_NEAR(sums.nats[0] / N, losses[0], 1e-5 * losses[0]);
  EXPECT_NEAR(sums.nats[1] / N, losses[1], 1e-5 * losses[1]);

  const Safetensors grads(kGolden / "grads.safetensors");
  size_t compared = 0;
  model->for_each_parameter([&](Parameter<float>& p) {
    if (p.name.ends_with("e_score_correction_bias")) return;
    EXPECT_LE(relative_error(p.grad.span(), floats(grads, p.name)), 1e-4) << p.name;
    ++compared;
  });
  EXPECT_EQ(compared, grads.tensors().size());
}

}  // namespace
}  // namespace shenhong
