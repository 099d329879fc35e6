// Which requests a web page somewhere else made the browser send.
#pragma once

#include <string_view>

namespace shenhong {

// Whether `host`, an address or a name with or without :port, means this machine only.
bool is_loopback(std::string_view host);

// Why a request must be refused, or nullptr. `host` and `origin` are its headers, "" when absent.
// Bound to loopback, a foreign name in Host is a page that points its own domain at us (DNS
// rebinding). A foreign Origin is a page that posts across sites.
const char* foreign_request(std::string_view host, std::string_view origin, bool bound_to_loopback);

}  // namespace shenhong
