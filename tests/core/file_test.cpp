#include "core/file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/error.h"

namespace shenhong {
namespace {

struct Directory {
  fs::path path =
      fs::temp_directory_path() / fs::path("shenhong_file_test_" + std::to_string(::getpid()));
  ~Directory() { fs::remove_all(path); }
};

TEST(File, what_is_written_is_read_back_and_no_temporary_stays) {
  const Directory d;
  const std::string bytes("a\0b\n", 4);
  write_file(d.path / "sub" / "x", bytes);
  write_file(d.path / "sub" / "x", bytes + "c");
  EXPECT_EQ(read_file(d.path / "sub" / "x"), bytes + "c");
  EXPECT_EQ(MappedFile(d.path / "sub" / "x").text(), bytes + "c");
  EXPECT_EQ(std::distance(fs::directory_iterator(d.path / "sub"), {}), 1);
}

TEST(File, a_missing_file_is_named_with_the_reason) {
  try {
    read_file("/nonexistent/file");
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "/nonexistent/file: cannot be opened: No such file or directory");
    EXPECT_EQ(e.code(), Exit::kBadInput);
  }
}

TEST(File, a_full_disk_is_an_error_of_resources) {
  try {
    write_file("/proc/shenhong", "x");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Exit::kResources);
  }
}

TEST(File, empty_files_map_to_nothing) {
  const Directory d;
  write_file(d.path / "x", "");
  EXPECT_TRUE(MappedFile(d.path / "x").bytes().empty());
}

}  // namespace
}  // namespace shenhong
