#include "cli/cache_option.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>

namespace shenhong {

void add_cache_option(CLI::App& verb, CacheFormat& format) {
  verb.add_option_function<std::string>(
          "--cache", [&format](const std::string& text) { format = *cache_format_named(text); },
          "number format of what answers have read: f32, f16 or int8 (latents only; rotary keys "
          "stay float); f16 takes half of f32's memory, int8 about two fifths")
      ->check([](const std::string& text) {
        return cache_format_named(text)
                   ? std::string()
                   : fmt::format("{}: want {}", text, fmt::join(kCacheFormatNames, ", "));
      })
      ->type_name("FORMAT")
      ->default_str(std::string(cache_format_name(format)));
}

}  // namespace shenhong
