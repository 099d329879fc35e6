#include "serve/page.h"

#include <string>

namespace shenhong {

// The page names the hashes of its own script and style in a <meta>; there, however, a browser
// ignores frame-ancestors.
Response page_response() {
  constexpr std::string_view kBegin = "http-equiv=\"Content-Security-Policy\" content=\"";
  const std::string_view html = page_html();
  std::string policy = "frame-ancestors 'none'";
  if (const size_t at = html.find(kBegin); at != html.npos) {
    const std::string_view rest = html.substr(at + kBegin.size());
    policy = std::string(rest.substr(0, rest.find('"'))) + "; " + policy;
  }
  return {.body = std::string(html),
          .content_type = "text/html; charset=utf-8",
          .headers = {{"Content-Security-Policy", policy}}};
}

}  // namespace shenhong
