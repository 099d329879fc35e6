// GPT-2's way to write bytes as visible characters, which tokenizer.json uses for vocabulary and
// merges: printable Latin-1 stands for itself, the other bytes for U+0100 and up in their order.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace shenhong {

// The 256 bytes in the order of the characters that stand for them: '!' first. The order in which
// `tokenizers` numbers them.
const std::array<uint8_t, 256>& bytes_in_alphabet_order();

std::string to_byte_alphabet(std::string_view bytes);

// Empty when some character stands for no byte.
std::optional<std::string> from_byte_alphabet(std::string_view text);

}  // namespace shenhong
