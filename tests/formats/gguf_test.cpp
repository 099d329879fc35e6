#include "formats/gguf.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <limits>
#include <numeric>

#include "core/error.h"
#include "core/floats.h"

namespace shenhong {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// In memory where there is such a place: hundreds of syncs then cost nothing.
fs::path scratch() { return fs::exists("/dev/shm") ? "/dev/shm" : fs::temp_directory_path(); }

constexpr uint32_t kUint32 = 4, kBool = 7, kString = 8, kArray = 9, kFloat32 = 6, kUint64 = 10;
constexpr uint32_t kF32 = 0, kQ8_0 = 8;

// A file put together by hand, piece by piece.
struct Bytes {
  std::string text;

  template <class T>
  Bytes& put(T number) {
    text.append(reinterpret_cast<const char*>(&number), sizeof(T));
    return *this;
  }
  Bytes& name(const std::string& name) {
    put(uint64_t(name.size()));
    text += name;
    return *this;
  }
  Bytes& head(uint64_t tensors, uint64_t values, uint32_t version = 3) {
    text += "GGUF";
    return put(version).put(tensors).put(values);
  }
  Bytes& key(const std::string& key, uint32_t type) { return name(key).put(type); }
  Bytes& tensor(const std::string& tensor_name, std::vector<uint64_t> sizes, uint32_t type,
                uint64_t offset) {
    name(tensor_name).put(uint32_t(sizes.size()));
    for (const uint64_t size : sizes) put(size);
    return put(type).put(offset);
  }
  Bytes& data(size_t bytes) {
    text.resize((text.size() + 31) / 32 * 32 + bytes);
    return *this;
  }
};

class GgufFile : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = scratch() / fmt::format("gguf-{}", ::getpid());
    fs::create_directories(directory_);
    path_ = directory_ / "t.gguf";
  }
  void TearDown() override { fs::remove_all(directory_); }

  // Reads everything there is; the message when that is refused.
  std::string why_not() {
    try {
      const Gguf file(path_);
      read_all(file);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Exit::kBadInput);
      const std::string message = e.what();
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      EXPECT_NE(message.find(path_.string()), std::string::npos) << message;
      return message;
    }
    return "";
  }
  static void read_all(const Gguf& file) {
    for (const auto& [key, value] : file.metadata()) read_value(file, key, value);
    for (const auto& [name, tensor] : file.tensors()) {
      std::vector<float> values(size_t(tensor.elements()));
      dequantise(tensor.type, tensor.bytes, values);
    }
  }
  static void read_value(const Gguf& file, const std::string& key, const GgufValue& value) {
    if (value.kind == GgufKind::kString) {
      value.is_array ? void(file.strings(key)) : void(file.string(key));
    } else if (value.kind == GgufKind::kFloat32 || value.kind == GgufKind::kFloat64) {
      value.is_array ? void(file.numbers(key)) : void(file.number(key));
    } else if (value.kind != GgufKind::kBool) {
      value.is_array ? void(file.integers(key)) : void(file.integer(key));
    } else if (!value.is_array) {
      file.boolean(key);
    }
  }
  void expect_refused(const Bytes& bytes, const std::string& because) {
    write_file(path_, bytes.text);
    const std::string message = why_not();
    EXPECT_NE(message.find(because), std::string::npos)
        << "  want: " << because << "\n  said: " << message;
  }
  void expect_read(const Bytes& bytes) {
    write_file(path_, bytes.text);
    EXPECT_EQ(why_not(), "");
  }

  // Values and tensors of several kinds; the last tensor ends where its padding does.
  void write_small() {
    static const std::vector<float> numbers(64, 0.5f);
    write_gguf(path_,
               {{"u", uint32_t(7)},
                {"b", true},
                {"l", uint64_t(1)},
                {"s", std::string("text")},
                {"a", std::vector<std::string>{"x", "yz"}},
                {"f", std::vector<float>{1, 2}}},
               {gguf_float_tensor("q", {2, 32}, numbers, BlockType::kQ8_0),
                gguf_float_tensor("w", {2, 4}, {numbers.data(), 8}, BlockType::kF32)});
  }

  fs::path directory_, path_;
};

TEST_F(GgufFile, what_is_written_is_read) {
  std::vector<float> weight(64);
  std::iota(weight.begin(), weight.end(), -20.0f);
  const std::vector<std::string> tokens = {"", "深红", std::string("\0z", 2)};
  write_gguf(path_,
             {{"u8", uint8_t(255)},
              {"i8", int8_t(-128)},
              {"u16", uint16_t(65535)},
              {"i16", int16_t(-32768)},
              {"u32", uint32_t(4294967295)},
              {"i32", std::numeric_limits<int32_t>::min()},
              {"u64", uint64_t(INT64_MAX)},
              {"i64", std::numeric_limits<int64_t>::min()},
              {"f32", 0.1f},
              {"f64", 0.1},
              {"yes", true},
              {"no", false},
              {"text", std::string("a\nb")},
              {"tokens", tokens},
              {"types", std::vector<int32_t>{3, -1}},
              {"counts", std::vector<uint32_t>{4294967295}},
              {"scores", std::vector<float>{0.5f, -1e30f}},
              {"none", std::vector<float>{}}},
             {gguf_float_tensor("odd", {1, 3}, {weight.data(), 3}, BlockType::kF16),
              gguf_float_tensor("w", {2, 32}, weight, BlockType::kF32),
              gguf_float_tensor("w16", {32, 2}, weight, BlockType::kBF16),
              gguf_float_tensor("w8", {1, 2, 1, 32}, weight, BlockType::kQ8_0),
              gguf_float_tensor("empty", {0, 32}, {}, BlockType::kQ4_0),
              gguf_float_tensor("one", {}, {weight.data(), 1}, BlockType::kF32)});
  EXPECT_FALSE(fs::exists(path_.string() + ".tmp"));

  const Gguf file(path_);
  EXPECT_EQ(file.metadata().size(), 18u);
  EXPECT_EQ(file.integer("u8"), 255);
  EXPECT_EQ(file.integer("i8"), -128);
  EXPECT_EQ(file.integer("u16"), 65535);
  EXPECT_EQ(file.integer("i16"), -32768);
  EXPECT_EQ(file.integer("u32"), 4294967295);
  EXPECT_EQ(file.integer("i32"), std::numeric_limits<int32_t>::min());
  EXPECT_EQ(file.integer("u64"), INT64_MAX);
  EXPECT_EQ(file.integer("i64"), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(file.number("f32"), double(0.1f));
  EXPECT_EQ(file.number("f64"), 0.1);
  EXPECT_TRUE(file.boolean("yes"));
  EXPECT_FALSE(file.boolean("no"));
  EXPECT_EQ(file.string("text"), "a\nb");
  EXPECT_EQ(file.strings("tokens"), (std::vector<std::string_view>(tokens.begin(), tokens.end())));
  EXPECT_EQ(file.integers("types"), (std::vector<int64_t>{3, -1}));
  EXPECT_EQ(file.integers("counts"), (std::vector<int64_t>{4294967295}));
  EXPECT_EQ(file.numbers("scores"), (std::vector<double>{0.5, double(-1e30f)}));
  EXPECT_TRUE(file.numbers("none").empty());
  EXPECT_FALSE(file.has("nothing"));

  EXPECT_EQ(file.tensors().size(), 6u);
  std::vector<float> back(64);
  for (const char* name : {"w", "w16"}) {
    read_floats(*file.find(name), name, back);
    EXPECT_EQ(back, weight) << name;  // small whole numbers are exact in bf16
  }
  read_floats(*file.find("w8"), "w8", back);
  for (size_t i = 0; i < 64; ++i) EXPECT_NEAR(back[i], weight[i], 43.0 / 127 / 2 + 0.02);
  EXPECT_EQ(file.find("w")->shape, (std::vector<int64_t>{2, 32}));
  EXPECT_EQ(file.find("w8")->shape, (std::vector<int64_t>{1, 2, 1, 32}));
  EXPECT_EQ(file.find("odd")->bytes.size(), 6u);
  EXPECT_EQ(file.find("empty")->elements(), 0);
  EXPECT_EQ(file.find("one")->elements(), 1);
  EXPECT_EQ(file.find("nothing"), nullptr);
}

// Made by tests/oracle/gguf_golden.py with the gguf package.
TEST_F(GgufFile, reads_the_golden_of_the_python_package) {
  const Gguf file(fs::path(SHENHONG_SOURCE_DIR) / "tests/golden/formats/blocks.gguf");
  EXPECT_EQ(file.string("general.architecture"), "golden");
  for (const int bits : {8, 16, 32, 64}) {
    EXPECT_EQ(file.integer(fmt::format("int{}", bits)), INT64_MIN >> (64 - bits));
    if (bits < 64) {
      EXPECT_EQ(file.integer(fmt::format("uint{}", bits)), (int64_t(1) << bits) - 1);
    }
  }
  EXPECT_EQ(file.number("float32"), double(0.1f));
  EXPECT_EQ(file.number("float64"), 0.1);
  EXPECT_TRUE(file.boolean("bool"));
  EXPECT_EQ(file.string("string"), "深红\n");
  EXPECT_EQ(file.strings("strings"), (std::vector<std::string_view>{"", "静夜思", "a"}));
  EXPECT_EQ(file.integers("int32s"), (std::vector<int64_t>{3, -1, 2}));
  EXPECT_EQ(file.numbers("float32s"), (std::vector<double>{0.5, double(-1e30f)}));
  EXPECT_EQ(file.metadata().at("bools").count, 2u);
  EXPECT_EQ(file.find("input")->shape, (std::vector<int64_t>{49, 32}));
}

TEST_F(GgufFile, blocks_of_every_type_have_the_values_of_the_python_package) {
  const Gguf file(fs::path(SHENHONG_SOURCE_DIR) / "tests/golden/formats/blocks.gguf");
  for (const char* name : {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q5_0", "Q5_1", "Q4_K", "Q5_K",
                           "Q6_K", "MXFP4", "Q4_1"}) {
    const GgufTensor* tensor = file.find(name);
    ASSERT_NE(tensor, nullptr) << name;
    EXPECT_EQ(block_layout(tensor->type).name, name);
    std::vector<float> values(size_t(tensor->elements()));
    read_floats(*tensor, name, values);
    const GgufTensor* expected = file.find(std::string(name) + ".values");
    ASSERT_EQ(expected->bytes.size(), values.size() * 4);
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(std::memcmp(&values[i], expected->bytes.data() + 4 * i, 4), 0)
          << name << " element " << i << " is " << values[i];
    }
  }
}

TEST_F(GgufFile, floats_become_the_blocks_of_the_python_package) {
  const Gguf file(fs::path(SHENHONG_SOURCE_DIR) / "tests/golden/formats/blocks.gguf");
  std::vector<float> input(size_t(file.find("input")->elements()));
  read_floats(*file.find("input"), "input", input);
  for (const char* name : {"F16", "BF16", "Q8_0", "Q4_0"}) {
    const GgufTensor* expected = file.find(std::string(name) + ".of_input");
    ASSERT_NE(expected, nullptr) << name;
    const size_t row_bytes = expected->bytes.size() / size_t(expected->shape[0]);
    std::vector<uint8_t> blocks(expected->bytes.size());
    quantise(expected->type, input, blocks);
    for (size_t i = 0; i < blocks.size(); ++i) {
      EXPECT_EQ(int(blocks[i]), int(expected->bytes[i]))
          << name << " row " << i / row_bytes << " byte " << i % row_bytes;
    }
  }
}

TEST(Blocks, numbers_that_no_block_can_hold_do_not_come_back_as_numbers) {
  for (const BlockType type : {BlockType::kQ8_0, BlockType::kQ4_0}) {
    for (const float bad : {NAN, INFINITY, -INFINITY, 1e7f}) {
      for (const size_t at : {0, 17, 31}) {
        std::vector<float> values(32, 1.0f), back(32);
        values[at] = bad;
        std::vector<uint8_t> block(size_t(block_layout(type).bytes));
        quantise(type, values, block);
        dequantise(type, block, back);
        EXPECT_FALSE(std::isfinite(back[at])) << bad << " at " << at;
      }
    }
  }
}

TEST(Blocks, scales_too_small_to_invert_give_zeros) {
  for (const BlockType type : {BlockType::kQ8_0, BlockType::kQ4_0}) {
    for (const float tiny : {0x1p-126f, -0x1p-130f, 0x1p-149f, 0.0f, -0.0f}) {
      std::vector<float> values(32, tiny), back(32, 1.0f);
      std::vector<uint8_t> block(size_t(block_layout(type).bytes));
      quantise(type, values, block);
      dequantise(type, block, back);
      EXPECT_EQ(back, std::vector<float>(32)) << tiny;
    }
  }
}

TEST(Blocks, sizes_that_are_no_whole_blocks_are_our_own_mistake) {
  std::vector<uint8_t> bytes(34);
  std::vector<float> values(32);
  EXPECT_THROW(dequantise(BlockType::kQ8_0, {bytes.data(), 33}, values), Bug);
  EXPECT_THROW(dequantise(BlockType::kQ8_0, bytes, {values.data(), 31}), Bug);
  EXPECT_THROW(quantise(BlockType::kQ8_0, {values.data(), 31}, bytes), Bug);
  EXPECT_THROW(quantise(BlockType::kQ6_K, values, bytes), Bug);
}

TEST_F(GgufFile, every_cut_is_refused) {
  write_small();
  const std::string whole = read_file(path_);
  EXPECT_EQ(why_not(), "");
  EXPECT_EQ(whole.size() % 32, 0u);
  for (size_t length = 0; length < whole.size(); ++length) {
    write_file(path_, whole.substr(0, length));
    EXPECT_NE(why_not(), "") << "cut to " << length;
  }
  write_file(path_, whole + "x");
  EXPECT_NE(why_not().find("1 bytes at the end belong to no tensor"), std::string::npos);
}

// Whatever one changed byte does, it is read within bounds or refused with one line.
TEST_F(GgufFile, no_changed_byte_of_the_header_crashes_the_reader) {
  write_small();
  const std::string whole = read_file(path_);
  const size_t data_bytes = 96 + 32;
  const int fd = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  int refused = 0;
  for (size_t i = 0; i < whole.size() - data_bytes; ++i) {
    for (int value = 0; value < 256; ++value) {
      const char byte = char(value);
      ASSERT_EQ(::pwrite(fd, &byte, 1, off_t(i)), 1);
      refused += !why_not().empty();
    }
    ASSERT_EQ(::pwrite(fd, &whole[i], 1, off_t(i)), 1);
  }
  ::close(fd);
  EXPECT_EQ(why_not(), "");
  EXPECT_GT(refused, 10000);
}

TEST_F(GgufFile, broken_heads_say_what_is_wrong) {
  expect_refused(Bytes{"GGUF"}, "4 bytes; a GGUF file has at least 24");
  Bytes other = Bytes().head(0, 0);
  other.text[0] = '\n';
  expect_refused(other, "begins with '\\nGUF'; want 'GGUF'");
  expect_refused(Bytes().head(0, 0, 1), "GGUF version 1; want 2 or 3");
  expect_refused(Bytes().head(0, 0, 3 << 24), "version 50331648; want 2 or 3, little endian");
  expect_refused(Bytes().head(uint64_t(1) << 60, 0).data(64),
                 "1152921504606846976 tensors in the 72 bytes that are left");
  expect_refused(Bytes().head(0, uint64_t(1) << 60).data(64),
                 "1152921504606846976 metadata values in the 72 bytes that are left");
  expect_refused(Bytes().head(0, 0).put(uint32_t(0)).put(uint32_t(0)).put('x'),
                 "1 bytes at the end belong to no tensor");
  expect_read(Bytes().head(0, 0));
  expect_read(Bytes().head(0, 0, 2));
  expect_read(Bytes().head(0, 1).key("general.x", kBool).put('\1'));
}

TEST_F(GgufFile, broken_metadata_say_what_is_wrong) {
  const uint64_t huge = uint64_t(1) << 63;
  expect_refused(Bytes().head(0, 1).put(huge).data(64),
                 "key 1 of 1: a string of 9223372036854775808 bytes at byte 32, 64 are left");
  expect_refused(Bytes().head(0, 1).key("k", kString).put(huge).data(64),
                 "'k': a string of 9223372036854775808 bytes at byte 45, 83 are left");
  expect_refused(Bytes().head(0, 1).key("k", kString).put(uint64_t(84)).data(64),
                 "'k': a string of 84 bytes at byte 45, 83 are left");
  expect_refused(Bytes().head(0, 1).key(std::string(65536, 'k'), kBool).put('\1'),
                 "a key of 65536 bytes; the format allows 65535");
  expect_refused(Bytes().head(0, 1).key("k", 13).data(64), "'k': value type 13 is unknown");
  expect_refused(Bytes().head(0, 1).key("k", kBool).put('\2'), "'k': a bool of 2; want 0 or 1");
  expect_refused(Bytes().head(0, 1).key("k", kUint64).put(uint32_t(0)),
                 "'k': needs 8 bytes at byte 37, 4 are left");
  expect_refused(Bytes().head(0, 1).key("k", kUint64).put(~uint64_t(0)),
                 "'k': 18446744073709551615 is beyond 9223372036854775807");
  expect_refused(Bytes().head(0, 2).key("k", kBool).put('\1').key("k", kUint32).put(1),
                 "'k': given twice");
  expect_refused(Bytes().head(0, 1).key("a\nb\xff", 99).data(64), "'a\\nb\xef\xbf\xbd'");

  expect_refused(Bytes().head(0, 1).key("k", kArray).put(kArray).data(64),
                 "'k': an array of arrays");
  expect_refused(Bytes().head(0, 1).key("k", kArray).put(uint32_t(13)).data(64),
                 "'k': value type 13 is unknown");
  for (const uint32_t kind : {kUint64, kString, kBool, kFloat32}) {
    expect_refused(Bytes().head(0, 1).key("k", kArray).put(kind).put(uint64_t(1) << 60).data(64),
                   "'k': 1152921504606846976 elements in the");
    expect_refused(Bytes().head(0, 1).key("k", kArray).put(kind).put(huge / 2 + 1).data(64),
                   "'k': 4611686018427387905 elements in the");
  }
  expect_refused(Bytes()
                     .head(0, 1)
                     .key("k", kArray)
                     .put(kString)
                     .put(uint64_t(2))
                     .name("x")
                     .put(~uint64_t(0))
                     .data(32),
                 "'k': a string of 18446744073709551615 bytes");
  expect_refused(Bytes().head(0, 1).key("k", kArray).put(kBool).put(uint64_t(2)).put('\1').put('x'),
                 "'k': a bool of 120");
}

TEST_F(GgufFile, broken_tensors_say_what_is_wrong) {
  const uint64_t big = uint64_t(1) << 32;
  expect_refused(Bytes().head(1, 0).tensor("w", {big, big}, kF32, 0).data(64),
                 "tensor 'w': shape [4294967296,4294967296] is too large to count");
  expect_refused(Bytes().head(1, 0).tensor("w", {big, big, 0}, kF32, 0).data(64), "too large");
  expect_refused(Bytes().head(1, 0).tensor("w", {~uint64_t(0)}, kF32, 0).data(64),
                 "shape [18446744073709551615] is too large");
  expect_refused(Bytes().head(1, 0).tensor("w", {uint64_t(INT64_MAX)}, kF32, 0).data(64),
                 "shape [9223372036854775807] is too large");
  expect_refused(Bytes().head(1, 0).tensor("w", {big, big / 32}, kQ8_0, 0).data(64),
                 "leave the 64 bytes of data");
  expect_refused(Bytes().head(1, 0).tensor("w", {1, 1, 1, 1, 1}, kF32, 0).data(64),
                 "5 dimensions; the format allows 4");
  expect_refused(Bytes().head(1, 0).tensor("w", {8}, kF32, 64).data(64),
                 "32 bytes at offset 64 leave the 64 bytes of data");
  expect_refused(Bytes().head(1, 0).tensor("w", {8}, kF32, ~uint64_t(31)).data(64),
                 "32 bytes at offset 18446744073709551584 leave the 64 bytes");
  expect_refused(Bytes().head(1, 0).tensor("w", {17}, kF32, 0).data(64),
                 "68 bytes at offset 0 leave the 64 bytes");
  expect_refused(Bytes().head(1, 0).tensor("w", {8}, kF32, 4).data(64),
                 "offset 4 is no multiple of the alignment 32");
  expect_refused(Bytes().head(1, 0).tensor("w", {8}, kF32, 32).data(64),
                 "32 bytes before it belong to no tensor");
  expect_refused(Bytes().head(1, 0).tensor("w", {8}, kF32, 0).data(96),
                 "64 bytes at the end belong to no tensor");
  expect_refused(Bytes().head(2, 0).tensor("a", {16}, kF32, 0).tensor("b", {8}, kF32, 32).data(64),
                 "tensor 'b': begins at 32, inside another one");
  expect_refused(Bytes().head(2, 0).tensor("a", {8}, kF32, 0).tensor("a", {8}, kF32, 32).data(64),
                 "tensor 'a': given twice");
  expect_refused(Bytes().head(1, 0).tensor("w", {8}, 10, 0).data(32),
                 "element type 10 is not read; want one of F32, F16");
  expect_refused(Bytes().head(1, 0).tensor("w", {33, 32}, kQ8_0, 0).data(2048),
                 "rows of 33 elements; Q8_0 has blocks of 32");
  expect_refused(Bytes().head(1, 0).tensor("w", {}, kQ8_0, 0).data(64), "rows of 1 elements");
  expect_refused(Bytes().head(1, 0).tensor(std::string(65, 'w'), {8}, kF32, 0).data(32),
                 "a name of 65 bytes; the format allows 64");
  Bytes unpadded = Bytes().head(1, 0).tensor("w", {0}, kF32, 0);
  expect_refused(unpadded, "tensors begin at byte 64 of 57");

  // The padding after the last tensor may be absent; order in the table is free.
  expect_read(Bytes().head(1, 0).tensor("w", {3}, kF32, 0).data(12));
  expect_read(Bytes().head(2, 0).tensor("b", {8}, kF32, 32).tensor("a", {3}, kF32, 0).data(64));
}

TEST_F(GgufFile, alignments_are_powers_of_two_of_sensible_size) {
  const auto aligned = [](uint32_t alignment) {
    return Bytes()
        .head(1, 1)
        .key("general.alignment", kUint32)
        .put(alignment)
        .tensor("w", {8}, kF32, 0);
  };
  for (const uint32_t bad : {0u, 3u, 12u, 4194304u, 2147483648u, 4294967295u}) {
    expect_refused(
        aligned(bad).data(64),
        fmt::format("'general.alignment' is {}; want a power of two up to 2097152", bad));
  }
  expect_refused(Bytes().head(0, 1).key("general.alignment", kString).name("32"),
                 "'general.alignment' is string; want an integer");
  for (const uint32_t good : {1u, 8u, 64u, 4096u}) {
    Bytes bytes = aligned(good);
    bytes.text.resize((bytes.text.size() + good - 1) / good * good + 32);
    expect_read(bytes);
  }
}

TEST_F(GgufFile, values_of_another_type_are_refused_by_key_and_types) {
  write_small();
  const Gguf file(path_);
  const auto message = [&](auto&& read) -> std::string {
    try {
      read();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Exit::kBadInput);
      return e.what();
    }
    return "";
  };
  const std::string path = path_.string();
  EXPECT_EQ(message([&] { file.string("u"); }), path + ": 'u' is uint32; want string");
  EXPECT_EQ(message([&] { file.string("a"); }), path + ": 'a' is array of string; want string");
  EXPECT_EQ(message([&] { file.strings("s"); }), path + ": 's' is string; want array of string");
  EXPECT_EQ(message([&] { file.integer("b"); }), path + ": 'b' is bool; want an integer");
  EXPECT_EQ(message([&] { file.integers("f"); }),
            path + ": 'f' is array of float32; want array of integers");
  EXPECT_EQ(message([&] { file.number("u"); }), path + ": 'u' is uint32; want float32 or float64");
  EXPECT_EQ(message([&] { file.numbers("a"); }),
            path + ": 'a' is array of string; want array of float32 or float64");
  EXPECT_EQ(message([&] { file.boolean("u"); }), path + ": 'u' is uint32; want bool");
  EXPECT_EQ(message([&] { file.boolean("x"); }), path + ": 'x' is missing; want bool");
}

TEST_F(GgufFile, numbers_that_are_none_are_refused_by_position) {
  std::vector<float> weight = {1, 2, 3, 4};
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    for (const BlockType type : {BlockType::kF32, BlockType::kF16, BlockType::kBF16}) {
      weight[2] = bad;
      write_gguf(path_, {}, {gguf_float_tensor("w", {4}, weight, type)});
      const Gguf file(path_);
      try {
        read_floats(*file.find("w"), "w", weight);
        ADD_FAILURE();
      } catch (const Error& e) {
        EXPECT_NE(std::string(e.what()).find("tensor 'w': element 2"), std::string::npos)
            << e.what();
      }
    }
  }
  std::vector<float> three(3);
  const Gguf file(path_);
  EXPECT_THROW(read_floats(*file.find("w"), "w", three), Error);
}

TEST_F(GgufFile, what_readers_refuse_is_not_written) {
  const std::vector<float> data(33);
  EXPECT_THROW(write_gguf(path_, {}, {gguf_float_tensor("w", {1, 33}, data, BlockType::kQ8_0)}),
               Bug);
  EXPECT_THROW(write_gguf(path_, {{"k", true}, {"k", false}}, {}), Bug);
  EXPECT_THROW(write_gguf(path_, {{"general.alignment", uint32_t(64)}}, {}), Bug);
  const auto named = [&](const std::string& name) {
    return gguf_float_tensor(name, {33}, data, BlockType::kF32);
  };
  EXPECT_THROW(write_gguf(path_, {}, {named("w"), named("w")}), Bug);
  EXPECT_THROW(write_gguf(path_, {}, {named(std::string(64, 'w'))}), Bug);
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(GgufFile, a_full_disk_leaves_the_old_file_and_no_other) {
  const std::vector<float> small(4, 1.0f), large(100000, 2.0f);
  write_gguf(path_, {}, {gguf_float_tensor("w", {4}, small, BlockType::kF32)});
  const std::string before = read_file(path_);

  rlimit old_limit;
  getrlimit(RLIMIT_FSIZE, &old_limit);
  const rlimit limit = {100000, old_limit.rlim_max};
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &limit);
  Exit code = Exit::kOk;
  try {
    write_gguf(path_, {}, {gguf_float_tensor("w", {100000}, large, BlockType::kF32)});
  } catch (const Error& e) {
    code = e.code();
  }
  setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, old_handler);

  EXPECT_EQ(code, Exit::kResources);
  EXPECT_EQ(read_file(path_), before);
  EXPECT_FALSE(fs::exists(path_.string() + ".tmp"));
}

}  // namespace
}  // namespace shenhong
