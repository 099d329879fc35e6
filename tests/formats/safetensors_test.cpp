#include "formats/safetensors.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <numeric>

#include "core/error.h"

namespace shenhong {
namespace {

// In memory where there is such a place: hundreds of syncs then cost nothing.
fs::path scratch() { return fs::exists("/dev/shm") ? "/dev/shm" : fs::temp_directory_path(); }

class SafetensorsFile : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = scratch() / fmt::format("safetensors-{}", ::getpid());
    fs::create_directories(directory_);
    path_ = directory_ / "t.safetensors";
  }
  void TearDown() override { fs::remove_all(directory_); }

  // A file of this header and so many bytes of data.
  void write_raw(const std::string& header, size_t data_bytes) {
    uint64_t n = header.size();
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &n, 8);
    write_file(path_, bytes + header + std::string(data_bytes, '\0'));
  }
  std::string why_not() {
    try {
      Safetensors{path_};
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Exit::kBadInput);
      EXPECT_NE(std::string(e.what()).find(path_.string()), std::string::npos) << e.what();
      return e.what();
    }
    return "";
  }
  void expect_refused(const std::string& header, size_t data_bytes, const std::string& because) {
    write_raw(header, data_bytes);
    const std::string message = why_not();
    EXPECT_NE(message.find(because), std::string::npos) << header << "\n  said: " << message;
  }

  fs::path directory_, path_;
};

TEST_F(SafetensorsFile, what_is_written_is_read) {
  std::vector<float> weight(6);
  std::iota(weight.begin(), weight.end(), -2.5f);
  const std::vector<int64_t> ids = {1, -2, int64_t(1) << 60};
  const std::vector<uint8_t> odd = {7, 8, 9};
  write_safetensors(
      path_,
      {plain_tensor<uint8_t>("odd", {3}, odd), float_tensor("w", {2, 3}, weight, false),
       float_tensor("w16", {3, 2}, weight, true), plain_tensor<int64_t>("ids", {3}, ids),
       float_tensor("empty", {0, 4}, {}, false),
       float_tensor("one", {}, {weight.data(), 1}, false)},
      {{"format", "pt"}, {"step", "12"}});
  EXPECT_FALSE(fs::exists(path_.string() + ".tmp"));

  const Safetensors file(path_);
  EXPECT_EQ(file.tensors().size(), 6u);
  EXPECT_EQ(file.metadata().at("step"), "12");
  std::vector<float> back(6);
  read_floats(*file.find("w"), "w", back);
  EXPECT_EQ(back, weight);
  read_floats(*file.find("w16"), "w16", back);
  EXPECT_EQ(back, weight);  // halves are exact in bf16
  EXPECT_EQ(file.find("w")->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(std::memcmp(file.find("ids")->bytes.data(), ids.data(), 24), 0);
  EXPECT_EQ(file.find("empty")->elements(), 0);
  EXPECT_EQ(file.find("one")->elements(), 1);
  EXPECT_EQ(file.find("nothing"), nullptr);
}

// Made by tests/oracle/safetensors_golden.py with the safetensors package.
TEST_F(SafetensorsFile, reads_the_golden_of_the_python_package) {
  const Safetensors file(fs::path(SHENHONG_SOURCE_DIR) / "tests/golden/tiny.safetensors");
  EXPECT_EQ(file.metadata().at("made_by"), "safetensors");
  for (const char* name : {"f64", "f32", "f16", "bf16"}) {
    std::vector<float> values(6);
    read_floats(*file.find(name), name, values);
    EXPECT_EQ(values, (std::vector<float>{-1.5f, -0.5f, 0, 0.25f, 1, 1024})) << name;
  }
  EXPECT_EQ(file.find("i64")->dtype, "I64");
  EXPECT_EQ(file.find("bool")->shape, (std::vector<int64_t>{3}));
}

TEST_F(SafetensorsFile, every_cut_is_refused) {
  const std::vector<float> weight(5, 1.0f);
  write_safetensors(path_,
                    {float_tensor("a", {5}, weight, false), float_tensor("b", {5}, weight, true)});
  const std::string whole = read_file(path_);
  EXPECT_EQ(why_not(), "");
  for (size_t length = 0; length < whole.size(); ++length) {
    write_file(path_, whole.substr(0, length));
    EXPECT_NE(why_not(), "") << "cut to " << length;
  }
  write_file(path_, whole + "x");
  EXPECT_NE(why_not().find("belong to no tensor"), std::string::npos);
}

// Whatever one flipped bit does, it is read within bounds or refused with one line.
TEST_F(SafetensorsFile, no_flipped_bit_crashes_the_reader) {
  const std::vector<float> weight(5, 1.0f);
  write_safetensors(
      path_, {float_tensor("a", {5}, weight, false), float_tensor("b", {1, 5}, weight, true)},
      {{"k", "v"}});
  const std::string whole = read_file(path_);
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string bytes = whole;
    bytes[i] = char(bytes[i] ^ (1 << (i % 8)));
    write_file(path_, bytes);
    why_not();
  }
}

TEST_F(SafetensorsFile, broken_headers_say_what_is_wrong) {
  std::string huge(8, '\xff');
  write_file(path_, huge + "{}");
  EXPECT_NE(why_not().find("the format allows"), std::string::npos);

  expect_refused("[]", 0, "no object");
  expect_refused("{", 0, "not valid JSON");
  expect_refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
                     "a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                 4, "given twice");
  expect_refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
                     "b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                 12, "inside another");
  expect_refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
                     "b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
                 12, "4 bytes before tensor 'b'");
  expect_refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8,
                 "before tensor 'a'");
  expect_refused(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}})",
                 0, "too large");
  expect_refused(R"({"a":{"dtype":"F32","shape":[9223372036854775807],"data_offsets":[0,4]}})", 4,
                 "too large");
  expect_refused(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4,
                 "something else than sizes");
  expect_refused(R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4,
                 "something else than sizes");
  expect_refused(R"({"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}})", 4,
                 "something else");
  expect_refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, "needs 8 bytes");
  expect_refused(R"({"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}})", 4,
                 "'F31' is unknown");
  expect_refused(R"({"a":{"dtype":7,"shape":[1],"data_offsets":[0,4]}})", 4, "not a string");
  expect_refused(R"({"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})", 4, "not a list");
  expect_refused(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4, "'shape' is missing");
  expect_refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "cut or broken");
  expect_refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}})", 8, "[begin, end]");
  expect_refused(
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551612,18446744073709551615]}})",
      4, "cut or broken");
  expect_refused(R"({"a":[]})", 0, "want an object");
  expect_refused(R"({"__metadata__":{"a":1}})", 0, "not a string");
  expect_refused(R"({"__metadata__":[]})", 0, "not an object");
  std::string deep(200000, '[');
  expect_refused(deep, 0, "nested deeper");
}

TEST_F(SafetensorsFile, numbers_that_are_none_are_refused_by_position) {
  std::vector<float> weight = {1, 2, 3, 4};
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    for (const bool bf16 : {false, true}) {
      weight[2] = bad;
      write_safetensors(path_, {float_tensor("w", {4}, weight, bf16)});
      const Safetensors file(path_);
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
  const Safetensors file(path_);
  EXPECT_THROW(read_floats(*file.find("w"), "w", three), Error);
  write_safetensors(path_, {plain_tensor<int32_t>("i", {3}, std::vector<int32_t>{1, 2, 3})});
  EXPECT_THROW(read_floats(*Safetensors(path_).find("i"), "i", three), Error);
}

TEST_F(SafetensorsFile, a_full_disk_leaves_the_old_file_and_no_other) {
  const std::vector<float> small(4, 1.0f), large(100000, 2.0f);
  write_safetensors(path_, {float_tensor("w", {4}, small, false)});
  const std::string before = read_file(path_);

  rlimit old_limit;
  getrlimit(RLIMIT_FSIZE, &old_limit);
  const rlimit limit = {100000, old_limit.rlim_max};
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &limit);
  Exit code = Exit::kOk;
  try {
    write_safetensors(path_, {float_tensor("w", {100000}, large, false)});
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
