#include "text/normalize.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "core/error.h"

namespace shenhong {

std::string nfc(std::string_view text) {
  const std::string valid = sanitise_utf8(text);
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(
      reinterpret_cast<const utf8proc_uint8_t*>(valid.data()), utf8proc_ssize_t(valid.size()),
      &mapped, utf8proc_option_t(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
  SH_CHECK(size != UTF8PROC_ERROR_NOMEM, kResources,
           "{} bytes of text: no memory to normalise them", text.size());
  SH_ASSERT(size >= 0);
  return std::string(reinterpret_cast<const char*>(mapped), size_t(size));
}

std::string to_half_width(std::string_view text, bool letters_only) {
  constexpr char32_t kFirst = 0xFF01, kLast = 0xFF5E, kDistance = 0xFF01 - 0x21, kSpace = 0x3000;
  std::string out;
  out.reserve(text.size());
  for_each_character(text, [&](char32_t c) {
    if (c >= kFirst && c <= kLast) {
      const char32_t half = c - kDistance;
      const bool letter = (half >= '0' && half <= '9') || (half >= 'A' && half <= 'Z') ||
                          (half >= 'a' && half <= 'z');
      append_utf8(out, letter || !letters_only ? half : c);
    } else {
      append_utf8(out, c == kSpace && !letters_only ? U' ' : c);
    }
  });
  return out;
}

}  // namespace shenhong
