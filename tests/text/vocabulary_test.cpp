// Reading tokenizer.json: what is accepted, and what each fault is called.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>

#include "text/byte_alphabet.h"
#include "text/fixture.h"
#include "text/special_tokens.h"
#include "text/tokenizer.h"

namespace shenhong {
namespace {

Json small_document() { return parse_json(small_tokenizer().json(), "test"); }

std::string fault(const std::function<void(Json&)>& plant) {
  Json document = small_document();
  plant(document);
  return error_of(Exit::kBadInput, [&] { Tokenizer::parse(dump_json(document), "x.json"); });
}

TEST(Vocabulary, a_saved_tokenizer_is_read_back_the_same) {
  const fs::path path = fs::temp_directory_path() /
                        fmt::format("shenhong_text_test_{}", ::getpid()) / "tokenizer.json";
  small_tokenizer().save(path);
  const Tokenizer loaded = Tokenizer::load(path);
  fs::remove_all(path.parent_path());
  EXPECT_EQ(loaded.json(), small_tokenizer().json());
  ASSERT_EQ(loaded.vocab_size(), small_tokenizer().vocab_size());
  for (int id = 0; id < loaded.vocab_size(); ++id) {
    EXPECT_EQ(loaded.token_bytes(id), small_tokenizer().token_bytes(id));
    EXPECT_EQ(loaded.is_special(id), small_tokenizer().is_special(id));
  }
  const std::string text = random_text(5, 500);
  EXPECT_EQ(loaded.encode(text), small_tokenizer().encode(text));
}

TEST(Vocabulary, both_forms_of_merges_mean_the_same) {
  Json document = small_document();
  for (Json& merge : document["model"]["merges"])
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  const Tokenizer other = Tokenizer::parse(dump_json(document), "x.json");
  for (uint64_t seed = 0; seed < 50; ++seed)
    EXPECT_EQ(other.encode(random_text(seed, 50)), small_tokenizer().encode(random_text(seed, 50)));
}

TEST(Vocabulary, entries_that_may_be_missing_may_be_missing) {
  Json document = small_document();
  for (const char* key :
       {"version", "truncation", "padding", "normalizer", "post_processor", "decoder"})
    document.erase(key);
  document["model"].erase("dropout");
  document["model"].erase("ignore_merges");
  EXPECT_EQ(Tokenizer::parse(dump_json(document), "x.json").encode("春风 the"),
            small_tokenizer().encode("春风 the"));
}

TEST(Vocabulary, ignoring_merges_prefers_the_whole_word) {
  Json document = small_document();
  document["model"]["ignore_merges"] = true;
  const int next = small_tokenizer().vocab_size();
  document["model"]["vocab"]["zyzzyva"] = next;
  EXPECT_EQ(Tokenizer::parse(dump_json(document), "x.json").encode("zyzzyva"),
            std::vector<int>{next});
  document["model"]["ignore_merges"] = false;
  EXPECT_NE(Tokenizer::parse(dump_json(document), "x.json").encode("zyzzyva"),
            std::vector<int>{next});
}

TEST(Vocabulary, a_byte_without_a_token_is_left_out) {
  Json document = small_document();
  Json& vocab = document["model"]["vocab"];
  const std::string name = to_byte_alphabet("\x04");
  vocab["qqq"] = vocab[name];
  vocab.erase(name);
  const Tokenizer tokenizer = Tokenizer::parse(dump_json(document), "x.json");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("春\x04风")), "春风");
  EXPECT_TRUE(tokenizer.encode("\x04").empty());
}

TEST(Vocabulary, each_fault_is_an_error_that_names_the_entry) {
  const auto names = [](const std::function<void(Json&)>& plant, const std::string& part) {
    const std::string error = fault(plant);
    EXPECT_NE(error.find(part), std::string::npos) << "wanted: " << part << "\ngot:    " << error;
    EXPECT_EQ(error.find('\n'), std::string::npos);
  };
  EXPECT_EQ(fault([](Json&) {}), "");
  names([](Json& d) { d = Json::array(); }, "x.json: want an object");
  names([](Json& d) { d.erase("model"); }, "x.json: model: missing");
  names([](Json& d) { d.erase("pre_tokenizer"); }, "pre_tokenizer");
  names([](Json& d) { d["normalizer"] = {{"type", "NFC"}}; }, "normalizer");
  names([](Json& d) { d["model"]["type"] = "Unigram"; }, "model.type = \"Unigram\"");
  names([](Json& d) { d["model"]["dropout"] = 0.1; }, "model.dropout = 0.1");
  names([](Json& d) { d["model"]["end_of_word_suffix"] = "</w>"; }, "end_of_word_suffix");
  names([](Json& d) { d["model"]["ignore_merges"] = 3; }, "ignore_merges = 3");
  names([](Json& d) { d["model"].erase("vocab"); }, "model.vocab");
  names([](Json& d) { d["model"]["vocab"]["!"] = "zero"; }, "token '!'");
  names([](Json& d) { d["model"]["vocab"]["!"] = -1; }, "token '!': id -1");
  names([](Json& d) { d["model"]["vocab"]["!"] = 1e18; }, "token '!'");
  names([](Json& d) { d["model"]["vocab"]["!"] = 30; }, "id 30 is taken");
  const int size = small_tokenizer().vocab_size();
  names([&](Json& d) { d["model"]["vocab"]["new"] = size + 1; },
        fmt::format("no token has id {}", size));
  names([&](Json& d) { d["model"]["vocab"]["new"] = size + 100; }, "the number of entries");
  names(
      [](Json& d) {
        d["added_tokens"].push_back({{"id", 27}, {"content", "!"}});
      },
      "byte 0x21: '!' is a special token");
  names(
      [](Json& d) {
        d["model"]["vocab"][std::string(100'000, 'x')] = small_tokenizer().vocab_size();
      },
      "100000 bytes");
  names([](Json& d) { d["model"]["vocab"].erase("!"), d["model"]["vocab"]["new"] = 27; },
        "byte 0x21");
  names([](Json& d) { d["model"].erase("merges"); }, "model.merges");
  names([](Json& d) { d["model"]["merges"][3] = "a"; }, "model.merges[3]");
  names([](Json& d) { d["model"]["merges"][3] = "a b c"; }, "model.merges[3]");
  names([](Json& d) { d["model"]["merges"][3] = {"a", "b", "c"}; }, "model.merges[3]");
  names([](Json& d) { d["model"]["merges"][3] = {"a", 1}; }, "model.merges[3]");
  names([](Json& d) { d["model"]["merges"][3] = {"qq", "q"}; }, "'qqq' is not in model.vocab");
  names([](Json& d) { d["model"]["merges"][3] = d["model"]["merges"][2]; },
        "merged by an earlier entry");
  names([](Json& d) { d["model"]["merges"][3] = {"<", "kg_e>"}; }, "special token");
  names([](Json& d) { d["added_tokens"] = 1; }, "added_tokens");
  names([](Json& d) { d["added_tokens"][4].erase("content"); }, "added_tokens[4].content");
  names([](Json& d) { d["added_tokens"][4]["id"] = 3; }, "added_tokens[4]");
  names([](Json& d) { d["added_tokens"][4] = d["added_tokens"][3]; }, "listed twice");
  names([](Json& d) { d["added_tokens"][4]["lstrip"] = true; }, "added_tokens[4].lstrip");
  names([](Json& d) { d["added_tokens"].erase(0); }, std::string(kBos));
  names([](Json& d) { d["model"]["vocab"]["a\nb"] = -1; }, "token 'a\\nb': id -1");
  names([](Json& d) { d["model"]["merges"][3] = "a\n b"; }, "'a\\nb' is not in model.vocab");
  const auto regex = [&](const std::string& pattern, const std::string& part) {
    names([&](Json& d) { d["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = pattern; },
          part);
  };
  regex(std::string((64 << 10) + 1, 'a'), "65537 bytes of regular expression, limit 65536");
  regex("(((a{9,999}){9,999}){9,999})", "too large");
  regex("a(\n" + std::string(1000, 'b'), "pretokenizers[0]: regular expression 'a(\\nbbb");
  EXPECT_NE(error_of(Exit::kBadInput, [] { Tokenizer::parse("{\"model\": ", "x.json"); })
                .find("x.json:1:"),
            std::string::npos);
  EXPECT_NE(
      error_of(Exit::kBadInput, [] { Tokenizer::load("no/such/tokenizer.json"); }).find("no/such"),
      std::string::npos);
}

TEST(Vocabulary, damaged_files_end_in_an_error_or_a_tokenizer) {
  const std::string good = small_tokenizer().json();
  for (uint64_t seed = 0; seed < 60; ++seed) {
    std::string bad = good;
    for (uint64_t i = 0; i < 3; ++i)
      bad[size_t(uniform_below(bad.size(), seed, 1, i))] = char(uniform_below(256, seed, 2, i));
    if (seed % 3 == 0) bad.resize(size_t(uniform_below(bad.size(), seed, 3, 0)));
    try {
      Tokenizer::parse(bad, "x.json").encode("春风 the 42");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Exit::kBadInput);
    }
  }
}

}  // namespace
}  // namespace shenhong
