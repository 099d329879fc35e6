#include "text/byte_alphabet.h"

#include "text/utf8.h"

namespace shenhong {
namespace {

constexpr char32_t kShifted = 0x100;  // where the invisible bytes go
constexpr size_t kCharacters = 0x100 + 68;

struct Alphabet {
  std::array<char32_t, 256> character;
  std::array<int, kCharacters> byte;
  std::array<uint8_t, 256> ordered;

  Alphabet() {
    byte.fill(-1);
    char32_t next = kShifted;
    for (int b = 0; b < 256; ++b) {
      const bool visible =
          (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
      character[size_t(b)] = visible ? char32_t(b) : next++;
      byte[character[size_t(b)]] = b;
    }
    size_t at = 0;
    for (const int b : byte) {
      if (b >= 0) ordered[at++] = uint8_t(b);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

const std::array<uint8_t, 256>& bytes_in_alphabet_order() { return alphabet().ordered; }

std::string to_byte_alphabet(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) append_utf8(out, alphabet().character[uint8_t(c)]);
  return out;
}

std::optional<std::string> from_byte_alphabet(std::string_view text) {
  std::string out;
  bool all = true;
  for_each_character(text, [&](char32_t c) {
    const int byte = c < kCharacters ? alphabet().byte[c] : -1;
    byte < 0 ? void(all = false) : void(out += char(byte));
  });
  return all ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace shenhong
