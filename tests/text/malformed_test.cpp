// tokenizer.json cut at every byte: refused with one line, without more memory than its tree takes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/json.h"
#include "heap_peak.h"
#include "text/special_tokens.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace shenhong {
namespace {

// A tree of JSON, the vocabulary and its tables, per byte of the file; and the pre-tokenizer.
constexpr size_t kPerByte = 64, kBesides = 64 << 10;

// The special tokens, the 256 bytes and one merge, as short as JSON can say it.
std::string smallest_tokenizer() {
  std::vector<std::string> tokens(kSpecialTokens.begin(), kSpecialTokens.end());
  const size_t special = tokens.size();
  for (int b = 0; b < 256; ++b) tokens.push_back(std::string(1, char(b)));
  tokens.push_back("th");
  const int first = int(special);
  return dump_json(
      parse_json(write_vocabulary(tokens, special, {{first + 't', first + 'h'}}), "smallest"));
}

TEST(Malformed, every_cut_of_a_tokenizer_is_refused) {
  const std::string whole = smallest_tokenizer();
  Tokenizer::parse(whole, "x.json");
  for (size_t length = 0; length < whole.size(); ++length) {
    std::string message;
    const size_t peak = heap_peak([&] {
      try {
        Tokenizer::parse(whole.substr(0, length), "x.json");
      } catch (const Error& e) {
        ASSERT_EQ(e.code(), Exit::kBadInput) << e.what();
        message = e.what();
      }
    });
    ASSERT_TRUE(message.starts_with("x.json")) << "cut to " << length << ": " << message;
    ASSERT_EQ(message.find('\n'), std::string::npos) << message;
    ASSERT_LE(peak, kPerByte * length + kBesides) << "cut to " << length;
  }
}

}  // namespace
}  // namespace shenhong
