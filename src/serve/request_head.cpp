#include "serve/request_head.h"

#include <algorithm>
#include <random>

namespace shenhong {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool equal_ignoring_case(std::string_view a, std::string_view lower_b) {
  return std::ranges::equal(a, lower_b, {}, [](unsigned char c) { return std::tolower(c); });
}

constexpr std::string_view kLetters =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

}  // namespace

const char* ambiguous_head(const Headers& headers, bool http11) {
  int hosts = 0;
  bool encoding = false;
  for (const auto& [name, value] : headers) {
    if (equal_ignoring_case(name, "host")) ++hosts;
    if (equal_ignoring_case(name, "transfer-encoding")) {
      if (encoding) return "Transfer-Encoding is given twice";
      encoding = true;
      if (!http11) return "Transfer-Encoding needs HTTP/1.1";
      if (!equal_ignoring_case(value, "chunked")) return "Transfer-Encoding: only chunked is known";
    }
  }
  if (hosts > 1) return "Host is given twice";
  if (hosts == 0 && http11) return "Host is missing";
  return nullptr;
}

bool parse_target(std::string_view target, std::string& path, std::string& query) {
  if (!target.starts_with('/')) return false;
  const size_t question = target.find('?');
  if (question != target.npos) query = target.substr(question + 1);
  target = target.substr(0, question);
  path.clear();
  for (size_t i = 0; i < target.size(); ++i) {
    if (target[i] != '%') {
      path += target[i];
      continue;
    }
    if (i + 2 >= target.size()) return false;
    const int high = hex_digit(target[i + 1]), low = hex_digit(target[i + 2]);
    if (high < 0 || low < 0 || (high == 0 && low == 0)) return false;
    path += char(high * 16 + low);
    i += 2;
  }
  if (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return true;
}

std::string random_name(size_t length) {
  static thread_local std::random_device device;
  std::string name;
  for (size_t i = 0; i < length; ++i) {
    name += kLetters[std::uniform_int_distribution<size_t>(0, kLetters.size() - 1)(device)];
  }
  return name;
}

std::string request_id(std::string_view given) {
  const bool harmless =
      !given.empty() && given.size() <= 128 && std::ranges::all_of(given, [](char c) {
        return c == '-' || c == '_' || c == '.' || kLetters.find(c) != kLetters.npos;
      });
  return harmless ? std::string(given) : "req_" + random_name(24);
}

}  // namespace shenhong
