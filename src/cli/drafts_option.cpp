#include "cli/drafts_option.h"

#include <fmt/format.h>

#include <string>

namespace shenhong {

void add_drafts_option(CLI::App& verb, int& drafts) {
  verb.add_option_function<std::string>(
          "--drafts", [&drafts](const std::string& text) { drafts = *drafts_of(text); },
          "tokens that the model's prediction module drafts ahead: a number, auto (as many as "
          "pay) or off; the answer is the same")
      ->check([](const std::string& text) {
        return drafts_of(text)
                   ? std::string()
                   : fmt::format("{}: want off, auto or a number up to {}", text, kMostDrafts);
      })
      ->type_name("N|auto|off")
      ->default_str("auto");
}

}  // namespace shenhong
