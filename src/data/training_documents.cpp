#include "data/training_documents.h"

#include <algorithm>

#include "core/error.h"

namespace shenhong {

std::vector<fs::path> training_documents(const fs::path& prepared) {
  std::vector<fs::path> files;
  std::error_code unreadable;
  for (const auto& entry : fs::directory_iterator(prepared, unreadable)) {
    // documents.json marks a corpus that is done; other directories hold other things, such as
    // dialogues.
    if (fs::exists(entry.path() / "documents.json")) {
      files.push_back(entry.path() / "train.jsonl.zst");
    }
  }
  SH_CHECK(!files.empty(), kBadInput,
           "{}: holds no SOURCE/train.jsonl.zst; run `shenhong data` first", prepared.string());
  std::ranges::sort(files);
  return files;
}

std::string_view text_below_heading(const Document& document) {
  const std::string_view text = document.text;
  if (!text.starts_with("《")) return text;
  const size_t end = text.find('\n');
  return end == text.npos ? std::string_view() : text.substr(end + 1);
}

}  // namespace shenhong
