// Our side of tests/oracle/tokenizer.py: reads the folder $SHENHONG_ORACLE and writes answers
// there.
#include <gtest/gtest.h>

#include <cstdlib>

#include "text/chat_template.h"
#include "text/fixture.h"

namespace shenhong {
namespace {

class Oracle : public testing::Test {
 protected:
  void SetUp() override {
    const char* const folder = std::getenv("SHENHONG_ORACLE");
    if (!folder) GTEST_SKIP() << "run by tests/oracle/tokenizer.py";
    folder_ = folder;
  }
  Json read(const char* name) const { return parse_json(read_file(folder_ / name), name); }
  void write(const std::string& name, const Json& value) const {
    write_file(folder_ / name, dump_json(value));
  }
  fs::path folder_;
};

TEST_F(Oracle, encodes) {
  const Tokenizer tokenizer = Tokenizer::load(folder_ / "tokenizer.json");
  for (const std::string name : {"mixed", "every"}) {
    const std::string text = read_file(folder_ / (name + ".txt"));
    const std::vector<int> ids = tokenizer.encode(text);
    write(name + ".ids.json", ids);
    write(name + ".special.json", tokenizer.encode_with_special(text));
    write_file(folder_ / (name + ".decoded"), tokenizer.decode(ids));
  }
}

TEST_F(Oracle, trains_and_renders) {
  const Json documents = read("documents.json");
  BpeTrainer trainer;
  for (const Json& document : documents) trainer.add(document.get<std::string>());
  const Tokenizer tokenizer = trainer.train(2048);
  save_tokenizer_files(tokenizer, ChatTemplate::deepseek(), folder_ / "model");
  write("trained.ids.json", tokenizer.encode(documents[0].get<std::string>()));

  const Json chats = read("chats.json");
  Json prompts = Json::array(), chat_ids = Json::array();
  for (const Json& text : chats["templates"]) {
    const ChatTemplate chat = ChatTemplate::parse(text, "template");
    Json& rendered = prompts.emplace_back(Json::array());
    for (const Json& conversation : chats["conversations"]) {
      std::vector<Message> messages;
      for (const Json& message : conversation)
        messages.push_back({message["role"], message["content"]});
      for (const bool add : {false, true}) {
        rendered.push_back(render_chat(chat, messages, add));
        if (prompts.size() == 1) chat_ids.push_back(encode_chat(tokenizer, chat, messages, add));
      }
    }
  }
  write("prompts.json", prompts);
  write("chat_ids.json", chat_ids);
}

}  // namespace
}  // namespace shenhong
