#include "infer/model_text.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "core/error.h"
#include "infer/engine.h"
#include "infer/tiny_models.h"
#include "model/gguf_tensors.h"
#include "model/model_directory.h"
#include "text/bpe_train.h"

namespace shenhong {
namespace {

// One random model as a directory and as a GGUF file.
class ModelText : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    root_ = fs::path(testing::TempDir()) / fmt::format("model_text_{}", ::getpid());
    directory_ = root_ / "model";
    BpeTrainer trainer;
    for (int i = 0; i < 20; ++i) trainer.add("床前明月光，疑是地上霜。the moon and the frost");
    const Tokenizer tokenizer = trainer.train(300);
    ModelConfig config = tiny_config();
    config.vocab_size = tokenizer.vocab_size() + 20;
    config.bos_token_id = tokenizer.bos_id();
    config.eos_token_id = tokenizer.eos_id();
    save_model(*random_model(config, 21), directory_, WeightFormat::kF32);
    save_tokenizer_files(tokenizer, ChatTemplate::deepseek(), directory_);
    gguf({});
  }
  static void TearDownTestSuite() { fs::remove_all(root_); }

  static fs::path gguf(const std::function<void(GgufMetadata&)>& change) {
    const auto model = load_model(directory_);
    const TensorSource source = [&](const std::string& name, int rows, int cols) {
      QuantizedBuffer out;
      model->for_each_parameter([&](const Parameter<float>& p) {
        if (p.name == name) out = quantize(NumberFormat::kF32, rows, cols, p.w());
      });
      return out;
    };
    GgufMetadata metadata = gguf_config_metadata(model->config());
    const GgufMetadata text =
        gguf_text_metadata(load_tokenizer(directory_), load_chat_template(directory_),
                           model->config(), "tokenizer.json");
    metadata.insert(metadata.end(), text.begin(), text.end());
    if (change) change(metadata);
    const fs::path path = root_ / (change ? "changed.gguf" : "model.gguf");
    write_gguf(path, metadata, gguf_tensors(model->config(), BlockType::kF32, source));
    return path;
  }

  static std::string error(const std::function<void(GgufMetadata&)>& change) {
    try {
      Engine engine(gguf(change));
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Exit::kBadInput);
      EXPECT_NE(std::string(e.what()).find("changed.gguf"), std::string::npos) << e.what();
      return e.what();
    }
    return "";
  }
  static std::string error(const std::string& key, GgufSetting value) {
    return error([&](GgufMetadata& metadata) {
      for (auto& [name, setting] : metadata)
        if (name == key) setting = value;
    });
  }

  static inline fs::path root_, directory_;
};

TEST_F(ModelText, a_gguf_answers_as_its_directory_does) {
  Engine one(directory_), other(root_ / "model.gguf");
  EXPECT_EQ(one.name(), other.name());
  EXPECT_EQ(one.tokenizer().vocab_size(), other.tokenizer().vocab_size());
  EXPECT_EQ(one.end_tokens(), other.end_tokens());
  EXPECT_EQ(one.chat_template().text(), other.chat_template().text());
  GenerateRequest request;
  request.prompt = one.chat_prompt({{"system", "the moon"}, {"user", "床前<｜User｜>"}});
  EXPECT_EQ(request.prompt,
            other.chat_prompt({{"system", "the moon"}, {"user", "床前<｜User｜>"}}));
  request.max_tokens = 20;
  request.sampling.temperature = 0;
  EXPECT_EQ(one.generate(request).tokens, other.generate(request).tokens);
}

TEST_F(ModelText, without_a_chat_template_a_gguf_continues_texts) {
  Engine one(directory_), other(gguf([](GgufMetadata&metadata) {
    std::erase_if(metadata, [](const auto& p) { return p.first == "tokenizer.chat_template"; });
  }));
  GenerateRequest request;
  request.prompt = one.text_prompt("床前");
  request.max_tokens = 20;
  request.sampling.temperature = 0;
  EXPECT_EQ(one.generate(request).tokens, other.generate(request).tokens);
  EXPECT_THROW(other.chat_prompt({{"user", "床前"}}), Error);
}

TEST_F(ModelText, other_tokenizers_are_refused) {
  const auto says = [](const std::string& text, const char* part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  says(error("tokenizer.ggml.model", std::string("llama")),
       "'llama': only 'gpt2' (byte-level BPE) is supported");
  says(error("tokenizer.ggml.pre", std::string("tekken")), "supported are 'deepseek-v3', ");
  says(error("tokenizer.ggml.token_type", std::vector<int32_t>{1, 3}), "has 2 entries");
  says(error("tokenizer.ggml.merges", std::vector<std::string>{"x y z"}), "merges");
  says(error("tokenizer.chat_template", std::string("{% if %}")), "tokenizer.chat_template");
  says(error([](GgufMetadata& metadata) {
         std::erase_if(metadata, [](const auto& p) { return p.first == "tokenizer.ggml.tokens"; });
       }),
       "tokenizer.ggml.tokens");
}

}  // namespace
}  // namespace shenhong
