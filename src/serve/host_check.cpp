#include "serve/host_check.h"

#include <algorithm>
#include <cctype>
#include <string>

namespace shenhong {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return char(std::tolower(c)); });
  return out;
}

std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
  const size_t colon = host.find(':');
  return host.find(':', colon + 1) == host.npos ? host.substr(0, colon) : host;  // else bare IPv6
}

}  // namespace

bool is_loopback(std::string_view host) {
  const std::string name = lower(without_port(host));
  if (name == "localhost" || name == "[::1]" || name == "::1") return true;
  return name.starts_with("127.") && name.find_first_not_of("0123456789.") == name.npos;
}

const char* foreign_request(std::string_view host, std::string_view origin,
                            bool bound_to_loopback) {
  // No browser leaves Host away; HTTP/1.0 tools do.
  if (bound_to_loopback && !host.empty() && !is_loopback(host)) return "Host";
  if (origin.empty()) return nullptr;
  const size_t scheme = origin.find("://");
  if (scheme == origin.npos) return "Origin";  // "null": a sandboxed or a local page
  const std::string_view authority = origin.substr(scheme + 3);
  const bool own = lower(authority) == lower(host) || (bound_to_loopback && is_loopback(authority));
  return own ? nullptr : "Origin";
}

}  // namespace shenhong
