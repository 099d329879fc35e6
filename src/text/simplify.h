// Traditional Chinese to simplified.
#pragma once

#include <string>
#include <string_view>

namespace shenhong {

// OpenCC's t2s (phrases and characters), then what it leaves: variant characters of old editions
// (爲 衆 羣 劒 become 为 众 群 剑), 著 where it is read 着, and corner brackets, which simplified
// text writes as “ ” ‘ ’. Safe on any thread. Error(kResources) when OpenCC's dictionaries are not
// installed.
std::string simplified(std::string_view text);

}  // namespace shenhong
