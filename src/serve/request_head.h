// What the head of a request says, beyond what the HTTP parser checks.
#pragma once

#include <string>
#include <string_view>

#include "serve/http.h"

namespace shenhong {

// Why the end of this request, or the host that it means, could be read differently by a proxy in
// front of us (request smuggling); nullptr when it cannot. The parser itself refuses two lengths,
// and a length beside chunks.
const char* ambiguous_head(const Headers& headers, bool http11);

// Splits "/a%20b/?x=1" into "/a b" and "x=1". False when it is no path or badly encoded.
bool parse_target(std::string_view target, std::string& path, std::string& query);

// The client's own id when it is short and harmless to print, else a random one.
std::string request_id(std::string_view given);

// `length` letters and digits that nobody can guess.
std::string random_name(size_t length);

}  // namespace shenhong
