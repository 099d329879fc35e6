#include "serve/page.h"

#include <gtest/gtest.h>

#include "core/file.h"
#include "serve/http.h"

namespace shenhong {
namespace {

TEST(Page, is_the_committed_file_byte_for_byte) {
  EXPECT_TRUE(page_html() == read_file(fs::path(SHENHONG_SOURCE_DIR) / "web/dist/index.html"));
}

TEST(Page, comes_with_its_own_policy_and_cannot_be_framed) {
  const Response response = page_response();
  EXPECT_EQ(response.content_type, "text/html; charset=utf-8");
  const std::string_view policy = find_header(response.headers, "content-security-policy");
  EXPECT_TRUE(policy.starts_with("default-src 'none'; ")) << policy;
  EXPECT_NE(policy.find("script-src 'sha256-"), policy.npos);
  EXPECT_EQ(policy.find("unsafe"), policy.npos);
  EXPECT_TRUE(policy.ends_with("frame-ancestors 'none'"));
}

}  // namespace
}  // namespace shenhong
