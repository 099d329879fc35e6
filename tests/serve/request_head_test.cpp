#include "serve/request_head.h"

#include <gtest/gtest.h>

#include "serve/host_check.h"

namespace shenhong {
namespace {

TEST(RequestHead, a_target_is_split_and_decoded) {
  std::string path, query;
  EXPECT_TRUE(parse_target("/", path, query));
  EXPECT_EQ(path, "/");
  EXPECT_TRUE(parse_target("/%E6%98%A5/?a=%20", path, query));
  EXPECT_EQ(path, "/春");
  EXPECT_EQ(query, "a=%20");
  for (const char* bad : {"", "*", "http://x/", "/%", "/%1", "/%g0", "/%00"}) {
    EXPECT_FALSE(parse_target(bad, path, query)) << bad;
  }
}

TEST(RequestHead, random_names_are_long_and_differ) {
  EXPECT_EQ(random_name(29).size(), 29u);
  EXPECT_NE(random_name(29), random_name(29));
}

TEST(HostCheck, loopback_is_told_by_name_and_number_only) {
  for (const char* own : {"localhost", "LocalHost:80", "127.0.0.1", "127.0.0.1:8020", "127.9.9.9",
                          "[::1]:8020", "::1"}) {
    EXPECT_TRUE(is_loopback(own)) << own;
  }
  for (const char* other : {"", "example.org", "localhost.example.org", "127.0.0.1.example.org",
                            "0.0.0.0", "192.168.0.1:8020", "[::2]", "notlocalhost"}) {
    EXPECT_FALSE(is_loopback(other)) << other;
  }
}

TEST(HostCheck, an_open_bind_takes_any_host_but_only_its_own_pages) {
  EXPECT_EQ(foreign_request("box.lan:8020", "", false), nullptr);
  EXPECT_EQ(foreign_request("box.lan:8020", "http://box.lan:8020", false), nullptr);
  EXPECT_STREQ(foreign_request("box.lan:8020", "http://evil.example", false), "Origin");
  EXPECT_STREQ(foreign_request("box.lan:8020", "http://box.lan:9999", false), "Origin");
  EXPECT_STREQ(foreign_request("box.lan:8020", "", true), "Host");
}

}  // namespace
}  // namespace shenhong
