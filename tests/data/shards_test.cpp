#include "data/shards.h"

#include <xxhash.h>

#include <cstring>

#include "data/scratch.h"

namespace shenhong {
namespace {

constexpr Vocabulary kSmall = {.size = 1000, .hash = 0x1234, .bos = 0, .eos = 1};

std::vector<int> document(int length, int salt) {
  std::vector<int> tokens{0};
  for (int i = 0; i < length; ++i) tokens.push_back(2 + (i * 7 + salt * 31) % 990);
  tokens.push_back(1);
  return tokens;
}

fs::path write_some(const Scratch& scratch, bool with_mask = false,
                    Vocabulary vocabulary = kSmall) {
  ShardWriter writer(scratch.path(), "train", vocabulary, with_mask);
  for (int d = 0; d < 5; ++d) {
    const std::vector<int> tokens = document(d * 3, d);
    std::vector<uint8_t> learn(with_mask ? tokens.size() : 0);
    for (size_t i = 0; i < learn.size(); ++i) learn[i] = i % 3 == 0;
    writer.add(tokens, 10 + d, learn);
  }
  writer.finish();
  return scratch / "train-00000.tok";
}

// Sets the checksum right again, so that what is behind it gets tested.
void reseal(std::string& bytes) {
  const uint64_t sum = XXH3_64bits(bytes.data(), bytes.size() - 8);
  std::memcpy(bytes.data() + bytes.size() - 8, &sum, 8);
}

template <class T>
void put(std::string& bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof(value));
}

TEST(Shards, what_was_written_is_read) {
  const Scratch scratch;
  for (const int size : {1000, 1 << 16, (1 << 16) + 1}) {
    Vocabulary vocabulary = kSmall;
    vocabulary.size = size;
    const Shard shard(write_some(scratch, false, vocabulary));
    EXPECT_EQ(shard.vocabulary(), vocabulary);
    EXPECT_EQ(shard.documents(), 5);
    EXPECT_EQ(shard.text_bytes(), 10 + 11 + 12 + 13 + 14);
    int64_t at = 0;
    for (int d = 0; d < 5; ++d) {
      EXPECT_EQ(shard.document_start(d), at);
      for (const int token : document(d * 3, d)) {
        EXPECT_EQ(shard.token(at), token);
        EXPECT_EQ(shard.learn(at), token != 0);
        ++at;
      }
    }
    EXPECT_EQ(shard.tokens(), at);
    EXPECT_EQ(shard.document_start(5), at);
  }
}

TEST(Shards, the_mask_says_what_is_learned) {
  const Scratch scratch;
  const Shard shard(write_some(scratch, true));
  ASSERT_TRUE(shard.has_mask());
  for (int d = 0; d < 5; ++d)
    for (int64_t i = shard.document_start(d); i < shard.document_start(d + 1); ++i)
      EXPECT_EQ(shard.learn(i), (i - shard.document_start(d)) % 3 == 0);
}

TEST(Shards, the_layout_is_the_documented_one) {
  const Scratch scratch;
  const std::string bytes = read_file(write_some(scratch, true));
  const size_t tokens = 2 + 5 + 8 + 11 + 14;
  EXPECT_EQ(bytes.substr(0, 8), "SHTOKENS");
  EXPECT_EQ(bytes.size(), 64 + 2 * tokens + 5 * 8 + 8 + 8);
  uint16_t first_of_second;
  std::memcpy(&first_of_second, bytes.data() + 64 + 2 * 3, 2);
  EXPECT_EQ(first_of_second, document(3, 1)[1]);
  uint64_t start_of_second;
  std::memcpy(&start_of_second, bytes.data() + 64 + 2 * tokens + 8, 8);
  EXPECT_EQ(start_of_second, 2u);
}

TEST(Shards, documents_stay_whole_when_shards_are_full) {
  const Scratch scratch;
  ShardWriter writer(scratch.path(), "train", kSmall, false, 20);
  for (int d = 0; d < 10; ++d) writer.add(document(d, d), 1);
  writer.finish();
  int64_t documents = 0, tokens = 0;
  int shards = 0;
  for (; fs::exists(scratch / fmt::format("train-{:05}.tok", shards)); ++shards) {
    const Shard shard(scratch / fmt::format("train-{:05}.tok", shards));
    EXPECT_LE(shard.tokens(), 20);
    EXPECT_EQ(shard.token(0), 0);
    documents += shard.documents();
    tokens += shard.tokens();
  }
  EXPECT_GT(shards, 2);
  EXPECT_EQ(documents, 10);
  EXPECT_EQ(tokens, writer.tokens());
}

TEST(Shards, a_new_run_leaves_none_of_the_old_shards) {
  const Scratch scratch;
  ShardWriter old(scratch.path(), "train", kSmall, false, 2);
  for (int d = 0; d < 3; ++d) old.add(document(1, d), 1);
  old.finish();
  EXPECT_TRUE(fs::exists(scratch / "train-00002.tok"));
  ShardWriter empty(scratch.path(), "train", kSmall);
  empty.finish();
  EXPECT_EQ(Shard(scratch / "train-00000.tok").documents(), 0);
  EXPECT_FALSE(fs::exists(scratch / "train-00001.tok"));
}

TEST(Shards, a_flipped_bit_anywhere_is_noticed_and_the_file_named) {
  const Scratch scratch;
  for (const bool with_mask : {false, true}) {
    const std::string good = read_file(write_some(scratch, with_mask));
    for (size_t at = 0; at < good.size(); ++at) {
      std::string bad = good;
      bad[at] = char(bad[at] ^ (1 << (at % 8)));
      write_file(scratch / "bad.tok", bad);
      const std::string error = error_of([&] { Shard shard(scratch / "bad.tok"); });
      ASSERT_NE(error.find("bad.tok: "), std::string::npos) << "byte " << at;
    }
  }
}

TEST(Shards, a_shard_cut_short_anywhere_or_lengthened_is_noticed) {
  const Scratch scratch;
  const std::string good = read_file(write_some(scratch));
  for (size_t keep = 0; keep < good.size(); ++keep) {
    write_file(scratch / "bad.tok", good.substr(0, keep));
    ASSERT_NE(error_of([&] { Shard shard(scratch / "bad.tok"); }).find("want"), std::string::npos)
        << keep;
  }
  write_file(scratch / "bad.tok", good + "x");
  EXPECT_NE(error_of([&] { Shard shard(scratch / "bad.tok"); }).find("prepare it again"),
            std::string::npos);
}

TEST(Shards, numbers_that_cannot_be_true_are_refused_behind_a_good_checksum) {
  const Scratch scratch;
  const std::string good = read_file(write_some(scratch));
  const size_t starts = 64 + 2 * 40;
  const auto error_with = [&](auto&& spoil) {
    std::string bad = good;
    spoil(bad);
    reseal(bad);
    write_file(scratch / "bad.tok", bad);
    return error_of([&] { Shard shard(scratch / "bad.tok"); });
  };
  const auto says = [](const std::string& error, const char* part) {
    return error.find(part) != std::string::npos;
  };
  EXPECT_TRUE(says(error_with([](auto& b) { put<uint32_t>(b, 8, 2); }), "version 2, want 1"));
  EXPECT_TRUE(says(error_with([](auto& b) { put<uint32_t>(b, 12, 3); }), "3 bytes, want 2 or 4"));
  EXPECT_TRUE(says(error_with([](auto& b) { put<uint64_t>(b, 16, ~0ull); }), "want 0 for"));
  EXPECT_TRUE(says(error_with([](auto& b) { put<uint64_t>(b, 24, 1ull << 61); }), "want 0 for"));
  EXPECT_TRUE(says(error_with([](auto& b) { put<uint32_t>(b, 48, 0); }), "vocabulary of 0"));
  EXPECT_TRUE(says(error_with([](auto& b) { put<uint32_t>(b, 56, 1000); }), "EOS 1000"));
  EXPECT_TRUE(says(error_with([](auto& b) { put<uint16_t>(b, 66, 1000); }), "holds token 1000"));
  EXPECT_TRUE(says(error_with([&](auto& b) { put<uint64_t>(b, starts, 1); }), "document 0"));
  EXPECT_TRUE(says(error_with([&](auto& b) { put<uint64_t>(b, starts + 16, 40); }), "document 2"));
}

}  // namespace
}  // namespace shenhong
