#include "data/prepare.h"

#include <map>
#include <set>

#include "core/parallel.h"
#include "data/dedup.h"
#include "data/document.h"
#include "data/mixture.h"
#include "data/scratch.h"
#include "text/tokenizer.h"

namespace shenhong {
namespace {

struct Stopped {};

// 200 small documents in two sources; some copies inside and across them, some to be dropped.
DataConfig small_corpus(const fs::path& root) {
  std::string lines;
  for (int i = 0; i < 120; ++i) {
    std::string text = fmt::format("第{}篇。", i);
    for (int k = 0; k < 30; ++k)
      text += fmt::format("山{}水{}，", (i * 37 + k * 11) % 101, (i + k) % 17);
    lines += dump_json({{"id", fmt::format("a{}", i)}, {"text", i % 10 == 9 ? "短" : text}}) + "\n";
    if (i == 5) lines += dump_json({{"id", "copy"}, {"text", text + "！"}}) + "\n";
  }
  write_file(root / "a.jsonl", lines);
  fs::copy_file(fixture("poems.json"), root / "poems.json");
  DataConfig config;
  config.sources.resize(2);
  config.sources[0].name = "prose";
  config.sources[0].path = "a.jsonl";
  config.sources[0].min_chars = 5;
  config.sources[1].name = "poems";
  config.sources[1].path = "poems.json";
  config.sources[1].format = "poetry";
  config.sources[1].simplify = true;
  config.sources[1].unwanted = {"□"};
  config.vocab_size = 600;
  config.validation_share = 0.2;
  return config;
}

PrepareOptions quiet(const fs::path& root, const fs::path& out) {
  PrepareOptions options;
  options.root = root;
  options.out = out;
  options.progress = false;
  return options;
}

std::map<std::string, std::string> files_below(const fs::path& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(directory))
    if (entry.is_regular_file())
      files[fs::relative(entry.path(), directory).string()] = read_file(entry.path());
  return files;
}

TEST(Prepare, counts_what_became_of_every_document) {
  const Scratch scratch;
  const DataConfig config = small_corpus(scratch.path());
  const DataReport report = prepare(config, quiet(scratch.path(), scratch / "out"));
  const SourceReport& prose = report.sources[0];
  EXPECT_EQ(prose.read, 121);
  EXPECT_EQ(prose.dropped.too_short, 12);
  EXPECT_EQ(prose.dropped.exact_copy, 1);
  EXPECT_EQ(prose.train_documents + prose.valid_documents + prose.dropped.sum(), prose.read);
  EXPECT_GT(prose.valid_documents, 5);
  EXPECT_EQ(report.sources[1].dropped.unwanted, 1);
  EXPECT_EQ(report.sources[1].train_documents + report.sources[1].valid_documents, 4);
  const std::string markdown = read_file(scratch / "out" / "report.md");
  EXPECT_NE(markdown.find("| prose | 121 |"), std::string::npos);
  EXPECT_NE(markdown.find("too_short 12"), std::string::npos);
  const Json json = parse_json(read_file(scratch / "out" / "report.json"), "report");
  EXPECT_EQ(json["total"]["read"], 126);
}

TEST(Prepare, shards_hold_bos_text_eos_and_the_bytes_of_the_text) {
  const Scratch scratch;
  prepare(small_corpus(scratch.path()), quiet(scratch.path(), scratch / "out"));
  const Tokenizer tokenizer = Tokenizer::load(scratch / "out" / "tokenizer.json");
  for (const char* split : {"train", "valid"}) {
    const TokenSource source(scratch / "out" / "prose", split);
    EXPECT_EQ(source.vocabulary().hash, vocabulary_hash(scratch / "out" / "tokenizer.json"));
    int64_t d = 0, bytes = 0;
    read_documents(
        scratch / "out" / "prose" / (std::string(split) + ".jsonl.zst"), [&](Document&& document) {
          const int64_t first = source.document_start(d), last = source.document_start(++d);
          std::vector<int> tokens(size_t(last - first));
          std::vector<uint8_t> learn(tokens.size());
          source.copy(first, tokens, learn);
          EXPECT_EQ(tokens.front(), tokenizer.bos_id());
          EXPECT_EQ(tokens.back(), tokenizer.eos_id());
          EXPECT_EQ(tokenizer.decode(std::span(tokens).subspan(1, tokens.size() - 2)),
                    document.text);
          bytes += int64_t(document.text.size());
        });
    EXPECT_EQ(d, source.documents());
    EXPECT_EQ(bytes, source.text_bytes());
  }
}

TEST(Prepare, killed_after_any_step_it_goes_on_to_the_same_bytes) {
  const Scratch scratch;
  const DataConfig config = small_corpus(scratch.path());
  std::vector<std::string> steps;
  PrepareOptions straight = quiet(scratch.path(), scratch / "straight");
  straight.after_step = [&](const std::string& step) { steps.push_back(step); };
  prepare(config, straight);
  const auto want = files_below(scratch / "straight");
  ASSERT_EQ(steps.size(), 8u);
  for (const std::string& last : steps) {
    const fs::path out = scratch / ("stopped after " + last);
    PrepareOptions options = quiet(scratch.path(), out);
    options.after_step = [&](const std::string& step) {
      if (step == last) throw Stopped();
    };
    EXPECT_THROW(prepare(config, options), Stopped);
    // What a kill in the middle of the next step leaves behind.
    write_file(out / "poems" / "cleaned.jsonl.zst.tmp", "half a frame");
    std::vector<std::string> again;
    options.after_step = [&](const std::string& step) { again.push_back(step); };
    prepare(config, options);
    fs::remove(out / "poems" / "cleaned.jsonl.zst.tmp");
    EXPECT_EQ(files_below(out), want) << last;
    EXPECT_EQ(std::ranges::count(again, last), 0) << last << " was done twice";
  }
}

TEST(Prepare, one_thread_and_several_write_the_same_bytes) {
  const Scratch scratch;
  const DataConfig config = small_corpus(scratch.path());
  const int threads = thread_count();
  set_thread_count(1);
  prepare(config, quiet(scratch.path(), scratch / "one"));
  set_thread_count(3);
  prepare(config, quiet(scratch.path(), scratch / "three"));
  set_thread_count(threads);
  EXPECT_EQ(files_below(scratch / "one"), files_below(scratch / "three"));
}

TEST(Prepare, a_second_run_does_nothing_and_a_changed_input_only_what_follows_from_it) {
  const Scratch scratch;
  DataConfig config = small_corpus(scratch.path());
  PrepareOptions options = quiet(scratch.path(), scratch / "out");
  std::set<std::string> steps;
  options.after_step = [&](const std::string& step) { steps.insert(step); };
  prepare(config, options);
  steps.clear();
  prepare(config, options);
  EXPECT_TRUE(steps.empty());

  config.sources[1].min_chars = 4;  // drops nothing: what follows is redone, the shards are not
  prepare(config, options);
  EXPECT_TRUE(steps.contains("clean poems"));
  EXPECT_FALSE(steps.contains("clean prose"));

  steps.clear();
  write_file(scratch / "a.jsonl",
             read_file(scratch / "a.jsonl") + R"({"id": "z", "text": "新的一篇文字"})");
  const DataReport report = prepare(config, options);
  EXPECT_TRUE(steps.contains("clean prose"));
  EXPECT_FALSE(steps.contains("clean poems"));
  EXPECT_EQ(report.sources[0].read, 122);
}

TEST(Prepare, the_split_of_a_text_does_not_depend_on_what_stands_around_it) {
  const Scratch scratch;
  const DataConfig config = small_corpus(scratch.path());
  prepare(config, quiet(scratch.path(), scratch / "out"));
  std::set<std::string> held_out;
  const fs::path valid = scratch / "out" / "prose" / "valid.jsonl.zst";
  read_documents(valid, [&](Document&& document) { held_out.insert(document.id.substr(1)); });
  // Without the first half of the corpus, with other punctuation and other ids.
  std::string rest;
  const std::string lines = read_file(scratch / "a.jsonl");
  for (size_t at = lines.find("{\"id\":\"a60\""); at < lines.size(); ++at)
    rest += lines.substr(at, 3) == "，" ? (at += 2, " ") : std::string(1, lines[at]);
  for (size_t at = 0; (at = rest.find("\"id\":\"a", at)) != std::string::npos;) rest[at + 6] = 'b';
  write_file(scratch / "a.jsonl", rest);
  prepare(config, quiet(scratch.path(), scratch / "half"));
  std::set<std::string> again, expected;
  read_documents(scratch / "half" / "prose" / "valid.jsonl.zst",
                 [&](Document&& document) { again.insert(document.id.substr(1)); });
  for (const std::string& id : held_out)
    if (std::stoi(id) >= 60) expected.insert(id);
  EXPECT_EQ(again, expected);
  EXPECT_FALSE(again.empty());
}

TEST(Prepare, settings_are_checked_before_any_work) {
  const auto error = [](const char* json) {
    return error_of([&] { data_config_from_json(parse_json(json, "recipe"), "recipe [data]"); });
  };
  EXPECT_NE(error(R"({})").find("no sources"), std::string::npos);
  EXPECT_NE(error(R"({"sources": [{"name": "a", "path": "x", "colour": 1}]})")
                .find("data source a: unknown key 'colour'; known: name, path"),
            std::string::npos);
  EXPECT_NE(error(R"({"sources": [{"name": "../a", "path": "x"}]})").find("'../a'"),
            std::string::npos);
  EXPECT_NE(error(R"({"sources": [{"name": "a", "path": "x", "format": "pdf"}]})")
                .find("format = 'pdf'; known: text"),
            std::string::npos);
  EXPECT_NE(error(R"({"sources": [{"name": "a", "path": "x"}, {"name": "a", "path": "y"}]})")
                .find("two sources named 'a'"),
            std::string::npos);
  EXPECT_NE(error(R"({"sources": [{"name": "a", "path": "x"}], "validation_share": 2})")
                .find("validation_share = 2: want 0 to 1"),
            std::string::npos);
  EXPECT_EQ(error(R"({"sources": [{"name": "a", "path": "x", "weight": 2}], "seed": 3})"), "");
}

}  // namespace
}  // namespace shenhong
