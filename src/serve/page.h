// The chat page: one self-contained file, embedded at build time (embed.cmake).
#pragma once

#include <string_view>

#include "serve/http.h"

namespace shenhong {

std::string_view page_html();

// With the page's own Content-Security-Policy as a header, and no framing by other sites.
Response page_response();

}  // namespace shenhong
