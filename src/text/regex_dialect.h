// Regular expressions as tokenizer.json writes them: for Oniguruma with the newest Unicode.
#pragma once

#include <string>
#include <string_view>

namespace shenhong {

// `pattern` for PCRE2 with its options UTF and UCP, so that \s, \S and the categories L, M, N, P
// and S mean the same there. The two agree on the rest of what such patterns use.
std::string to_pcre2(std::string_view pattern);

}  // namespace shenhong
