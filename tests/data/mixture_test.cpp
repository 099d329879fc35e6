#include "data/mixture.h"

#include <cmath>
#include <map>
#include <set>

#include "data/scratch.h"

namespace shenhong {
namespace {

constexpr Vocabulary kVocabulary = {.size = 60'000, .hash = 7, .bos = 0, .eos = 1};

// A source of one-token documents BOS n EOS; every window of 3 is one of them.
std::shared_ptr<const TokenSource> numbered(const fs::path& directory, int documents, int first,
                                            Vocabulary vocabulary = kVocabulary) {
  ShardWriter writer(directory, "train", vocabulary, false, 100);
  for (int d = 0; d < documents; ++d) writer.add(std::vector{0, first + d, 1}, 3);
  writer.finish();
  return std::make_shared<TokenSource>(directory, "train");
}

struct Window {
  std::vector<int> tokens;
  std::vector<uint8_t> learn;
  explicit Window(int size) : tokens(size_t(size)), learn(size_t(size)) {}
  bool operator==(const Window&) const = default;
};

Window draw(Mixture& mixture, int size) {
  Window window(size);
  mixture.next(window.tokens, window.learn);
  return window;
}

TEST(Permutation, is_one_for_every_size_and_differs_by_epoch) {
  for (const uint64_t n : {1u, 2u, 3u, 5u, 16u, 17u, 1000u}) {
    std::set<uint64_t> seen;
    for (uint64_t i = 0; i < n; ++i) {
      const uint64_t to = permuted(i, n, 42, 3);
      ASSERT_LT(to, n);
      seen.insert(to);
    }
    EXPECT_EQ(seen.size(), n);
  }
  int same = 0, fixed = 0;
  for (uint64_t i = 0; i < 1000; ++i) {
    same += permuted(i, 1000, 42, 0) == permuted(i, 1000, 42, 1);
    fixed += permuted(i, 1000, 42, 0) == i;
  }
  EXPECT_LT(same, 10);
  EXPECT_LT(fixed, 10);
}

TEST(TokenSource, joins_its_shards_into_one_row) {
  const Scratch scratch;
  const auto source = numbered(scratch / "s", 100, 10);
  EXPECT_GT(std::distance(fs::directory_iterator(scratch / "s"), fs::directory_iterator()), 1);
  ASSERT_EQ(source->tokens(), 300);
  ASSERT_EQ(source->documents(), 100);
  EXPECT_EQ(source->document_start(57), 171);
  EXPECT_EQ(source->document_start(100), 300);
  Window all(300);
  source->copy(0, all.tokens, all.learn);
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(all.tokens[size_t(i)], i % 3 == 0 ? 0 : i % 3 == 2 ? 1 : 10 + i / 3);
    EXPECT_EQ(all.learn[size_t(i)], i % 3 != 0);
  }
  EXPECT_DOUBLE_EQ(source->learned_tokens_per_byte(), 200.0 / 300.0);
}

TEST(TokenSource, a_missing_split_and_shards_of_two_vocabularies_are_errors) {
  const Scratch scratch;
  EXPECT_NE(error_of([&] { TokenSource(scratch.path(), "train"); }).find("shenhong data"),
            std::string::npos);
  numbered(scratch / "a", 3, 10);
  Vocabulary other = kVocabulary;
  other.hash = 8;
  numbered(scratch / "b", 3, 10, other);
  fs::copy(scratch / "b" / "train-00000.tok", scratch / "a" / "train-00001.tok");
  EXPECT_NE(error_of([&] { TokenSource(scratch / "a", "train"); }).find("train-00001.tok"),
            std::string::npos);
}

TEST(Windows, stream_windows_are_the_row_cut_in_pieces_with_padding_at_the_end) {
  const Scratch scratch;
  const Windows windows(numbered(scratch / "s", 10, 10), 8, Packing::kStream, 1);
  ASSERT_EQ(windows.count(), 4);  // 30 tokens
  Window window(8);
  windows.read(0, window.tokens, window.learn);
  EXPECT_EQ(window.tokens, (std::vector{0, 10, 1, 0, 11, 1, 0, 12}));
  EXPECT_EQ(window.learn, (std::vector<uint8_t>{0, 1, 1, 0, 1, 1, 0, 1}));
  windows.read(3, window.tokens, window.learn);
  EXPECT_EQ(window.tokens, (std::vector{0, 18, 1, 0, 19, 1, 1, 1}));
  EXPECT_EQ(window.learn, (std::vector<uint8_t>{0, 1, 1, 0, 1, 1, 0, 0}));
}

TEST(Windows, whole_packing_keeps_documents_whole_and_leaves_out_too_long_ones) {
  const Scratch scratch;
  ShardWriter writer(scratch.path(), "train", kVocabulary, true);
  for (int d = 0; d < 50; ++d) {
    std::vector<int> tokens(size_t(2 + d % 12), 100 + d);
    tokens.front() = 0;
    tokens.back() = 1;
    std::vector<uint8_t> learn(tokens.size(), 1);
    learn.front() = 0;
    writer.add(tokens, 1, learn);
  }
  writer.finish();
  const Windows windows(std::make_shared<TokenSource>(scratch.path(), "train"), 10, Packing::kWhole,
                        5);
  std::map<int, int> inner;  // token -> times seen
  Window window(10);
  for (int64_t i = 0; i < windows.count(); ++i) {
    windows.read(i, window.tokens, window.learn);
    EXPECT_EQ(window.tokens[0], 0);
    EXPECT_EQ(window.tokens[9], 1);  // an end or padding, never a cut
    for (const int token : window.tokens) ++inner[token];
  }
  int too_long = 0;
  for (int d = 0; d < 50; ++d) {
    const int length = 2 + d % 12;
    too_long += length > 10;
    EXPECT_EQ(inner[100 + d], length > 10 ? 0 : length - 2);
  }
  EXPECT_EQ(windows.too_long(), too_long);
  EXPECT_GT(too_long, 0);
}

TEST(Mixture, goes_through_every_window_once_per_epoch) {
  const Scratch scratch;
  Mixture mixture({{numbered(scratch / "s", 50, 10), 1}}, 3, 9);
  std::vector<int> first, second;
  for (int i = 0; i < 100; ++i) (i < 50 ? first : second).push_back(draw(mixture, 3).tokens[1]);
  EXPECT_NE(first, second);
  EXPECT_EQ(std::set(first.begin(), first.end()).size(), 50u);
  EXPECT_EQ(std::set(second.begin(), second.end()).size(), 50u);
  EXPECT_DOUBLE_EQ(mixture.epochs(0), 2);
}

TEST(Mixture, weights_say_how_often_a_source_is_seen) {
  const Scratch scratch;
  Mixture mixture({{numbered(scratch / "a", 100, 1000), 1},
                   {numbered(scratch / "b", 300, 2000), 3},
                   {numbered(scratch / "empty", 0, 3000), 1}},
                  3, 11);
  const int draws = 20'000;
  int from_a = 0;
  for (int i = 0; i < draws; ++i) from_a += draw(mixture, 3).tokens[1] < 2000;
  // 1*100 : 3*300, so one in ten; five standard errors.
  EXPECT_NEAR(double(from_a) / draws, 0.1, 5 * std::sqrt(0.09 / draws));
  EXPECT_NEAR(mixture.epochs(1) / mixture.epochs(0), 3, 0.5);
  EXPECT_EQ(mixture.epochs(2), 0);
}

TEST(Mixture, a_restored_mixture_goes_on_exactly) {
  const Scratch scratch;
  const auto make = [&](uint64_t seed) {
    static int n = 0;
    const fs::path here = scratch / std::to_string(n++);
    return Mixture({{numbered(here / "a", 40, 1000), 1}, {numbered(here / "b", 70, 2000), 2}}, 5,
                   seed);
  };
  Mixture straight = make(3);
  std::vector<Window> all;
  for (int i = 0; i < 200; ++i) all.push_back(draw(straight, 5));
  for (const int cut : {0, 1, 77, 199}) {
    Mixture before = make(3);
    for (int i = 0; i < cut; ++i) draw(before, 5);
    const std::string state = dump_json(before.state());
    Mixture after = make(3);
    after.restore(parse_json(state, "state"));
    for (int i = cut; i < 200; ++i) ASSERT_EQ(draw(after, 5), all[size_t(i)]) << cut << " " << i;
    EXPECT_EQ(after.drawn(), 200);
  }
  Mixture other = make(4);
  EXPECT_NE(error_of([&] { other.restore(straight.state()); }).find("seed 3"), std::string::npos);
  Json fewer = straight.state();
  fewer["sources"][1]["windows"] = 7;
  EXPECT_NE(error_of([&] { straight.restore(fewer); }).find("a source of 7 windows"),
            std::string::npos);
  EXPECT_NE(error_of([&] { other.restore(Json::object()); }).find("no state"), std::string::npos);
}

TEST(Mixture, refuses_weights_and_sources_that_make_no_sense) {
  const Scratch scratch;
  const auto a = numbered(scratch / "a", 3, 10);
  Vocabulary other = kVocabulary;
  other.hash = 8;
  const auto b = numbered(scratch / "b", 3, 10, other);
  const auto error = [](std::vector<MixtureEntry> entries, int window = 3) {
    return error_of([&] { Mixture(std::move(entries), window, 1); });
  };
  EXPECT_NE(error({}).find("no sources"), std::string::npos);
  EXPECT_NE(error({{a, 0}}).find("weight of a = 0"), std::string::npos);
  EXPECT_NE(error({{a, std::nan("")}}).find("weight of a"), std::string::npos);
  EXPECT_NE(error({{a, 1}, {b, 1}}).find("vocabulary"), std::string::npos);
  EXPECT_NE(error({{a, 1, Packing::kWhole}}, 2).find("fits a window of 2"), std::string::npos);
}

}  // namespace
}  // namespace shenhong
