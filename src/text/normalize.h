// Text clean-up that changes how characters are spelt, not what they say.
#pragma once

#include <string>
#include <string_view>

#include "text/utf8.h"

namespace shenhong {

// Unicode normalisation form C; broken UTF-8 becomes U+FFFD first.
std::string nfc(std::string_view text);

// Full-width ASCII (U+FF01..U+FF5E) and the ideographic space to half width. With `letters_only`
// Chinese punctuation （，！：） stays as it is, and so does the space.
std::string to_half_width(std::string_view text, bool letters_only = false);

}  // namespace shenhong
