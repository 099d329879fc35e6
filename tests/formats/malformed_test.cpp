// Weights' files that are cut, damaged or lie about their counts: each is read or refused with one
// line, and none takes memory that it does not have bytes for.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <vector>

#include "core/error.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "heap_peak.h"

namespace shenhong {
namespace {

// Trees and tables of what was read, per byte of the file; and messages, paths, buffers of streams.
constexpr size_t kPerByte = 24, kBesides = 16 << 10;

class Malformed : public testing::Test {
 protected:
  void SetUp() override {
    const fs::path memory = "/dev/shm";  // hundreds of syncs cost nothing there
    directory_ = (fs::exists(memory) ? memory : fs::temp_directory_path()) /
                 fmt::format("malformed-{}", ::getpid());
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }

  // What opening a file of these bytes says; empty when it is read.
  std::string why_not(const char* name, const std::string& bytes) {
    const fs::path path = directory_ / name;
    write_file(path, bytes);
    std::string message;
    const size_t peak = heap_peak([&] {
      try {
        if (path.extension() == ".gguf") {
          Gguf{path};
        } else {
          Safetensors{path};
        }
      } catch (const Error& e) {
        EXPECT_EQ(e.code(), Exit::kBadInput) << e.what();
        message = e.what();
      }
    });
    EXPECT_LE(peak, kPerByte * bytes.size() + kBesides) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_TRUE(message.empty() || message.find(path.string()) != message.npos) << message;
    return message;
  }

  std::string small_gguf() {
    static const std::vector<float> numbers(64, 0.5f);
    const fs::path path = directory_ / "small.gguf";
    write_gguf(path,
               {{"u", uint32_t(7)},
                {"s", std::string("text")},
                {"a", std::vector<std::string>{"x", "yz"}},
                {"f", std::vector<float>{1, 2}}},
               {gguf_float_tensor("q", {2, 32}, numbers, BlockType::kQ8_0),
                gguf_float_tensor("w", {2, 4}, {numbers.data(), 8}, BlockType::kF32)});
    return read_file(path);
  }
  std::string small_safetensors() {
    static const std::vector<float> numbers(700, 0.5f);
    const fs::path path = directory_ / "small.safetensors";
    write_safetensors(path,
                      {float_tensor("a", {7, 100}, numbers, false),
                       float_tensor("b", {5}, {numbers.data(), 5}, true)},
                      {{"format", "pt"}});
    return read_file(path);
  }

  fs::path directory_;
};

// The eight bytes of a number.
std::string u64(uint64_t number) {
  return std::string(reinterpret_cast<const char*>(&number), sizeof number);
}
std::string u32(uint32_t number) {
  return std::string(reinterpret_cast<const char*>(&number), sizeof number);
}

TEST_F(Malformed, every_cut_is_refused) {
  for (const char* name : {"t.gguf", "t.safetensors"}) {
    const bool gguf = std::string(name).ends_with("gguf");
    const std::string whole = gguf ? small_gguf() : small_safetensors();
    EXPECT_EQ(why_not(name, whole), "");
    for (size_t length = 0; length < whole.size(); ++length)
      ASSERT_NE(why_not(name, whole.substr(0, length)), "") << name << " cut to " << length;
  }
}

// The bytes that mean most: the ends of the ranges, and each bit alone.
TEST_F(Malformed, no_changed_byte_takes_memory_that_is_not_there) {
  const std::string gguf = small_gguf(), tensors = small_safetensors();
  const auto damage = [&](const char* name, const std::string& whole, size_t head) {
    for (size_t at = 0; at < head; ++at) {
      for (const int value : {0x00, 0x01, 0x7f, 0x80, 0xff, whole[at] ^ 1, whole[at] ^ 16}) {
        std::string bytes = whole;
        bytes[at] = char(value);
        why_not(name, bytes);
        ASSERT_FALSE(HasFailure()) << name << " byte " << at << " = " << value;
      }
    }
  };
  damage("t.gguf", gguf, gguf.size() - 128);
  damage("t.safetensors", tensors, tensors.size() - 2810);
}

TEST_F(Malformed, counts_that_the_file_has_no_bytes_for_take_no_memory) {
  const std::string rest(512, '\0');
  for (const uint64_t count : {uint64_t(100), uint64_t(1) << 31, uint64_t(1) << 60, ~uint64_t(0)}) {
    const std::string head = "GGUF" + u32(3);
    EXPECT_NE(why_not("t.gguf", head + u64(count) + u64(0) + rest), "");
    EXPECT_NE(why_not("t.gguf", head + u64(0) + u64(count) + rest), "");
    const std::string key = head + u64(0) + u64(1) + u64(1) + "k";
    EXPECT_NE(why_not("t.gguf", key + u32(8) + u64(count * 8) + rest), "");  // a string
    for (const uint32_t kind : {0u, 4u, 7u, 8u, 12u})                        // an array
      EXPECT_NE(why_not("t.gguf", key + u32(9) + u32(kind) + u64(count * 8) + rest), "");
    EXPECT_NE(why_not("t.safetensors", u64(count * 8) + "{}" + rest), "");
  }
  EXPECT_NE(why_not("t.safetensors", u64(0) + rest), "");
  EXPECT_NE(why_not("t.safetensors", u64(512) + std::string(512, '[')), "");
  EXPECT_NE(why_not("t.safetensors", u64(4) + "null" + rest), "");
}

// Tensors of a gigabyte: sparse, so that the disk holds nothing of them.
TEST_F(Malformed, opening_reads_no_tensor) {
  const std::string header =
      R"({"w":{"dtype":"F32","shape":[268435456],"data_offsets":[0,1073741824]}})";
  const fs::path path = directory_ / "large.safetensors";
  write_file(path, u64(header.size()) + header);
  fs::resize_file(path, 8 + header.size() + (uint64_t(1) << 30));
  EXPECT_LE(heap_peak([&] { Safetensors{path}; }), kBesides);
}

}  // namespace
}  // namespace shenhong
