// Cleaning: one spelling for all texts, and the rules by which a text is dropped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "data/config.h"
#include "data/document.h"
#include "data/drop_counts.h"

namespace shenhong {

// The text as training sees it: valid UTF-8 in NFC; \n line ends, no space at the ends of lines, at
// most one empty line in a row; no control characters; Unicode's wide spaces become one space. By
// the source's wish full-width letters and digits become ASCII and traditional characters
// simplified.
std::string clean_text(std::string_view text, const SourceConfig& source);

// The same for the text and the metadata's strings. The heading of a poem (诗) that has a title
// gains its form and rhyme: 《静夜思》唐·李白·五绝·阳韵.
void clean_document(Document& document, const SourceConfig& source);

// Why the source's rules drop a cleaned document, or nullptr.
DropReason reason_to_drop(const Document& document, const SourceConfig& source);

struct TextCounts {
  int64_t characters = 0;  // white space not counted
  int64_t han = 0;
  int64_t letters = 0;  // letters and digits, Han among them
  int64_t garbage = 0;  // U+FFFD and private use: what broken conversions leave
};
TextCounts count_text(std::string_view text);

// The letters and digits alone, Latin in lower case: two texts of one letters_of differ in
// punctuation and layout only.
std::u32string letters_of(std::string_view text);

}  // namespace shenhong
