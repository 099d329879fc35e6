#include "data/tunes.h"

namespace shenhong {

std::string tune_name(std::string_view heading) {
  size_t end = heading.size();
  for (const std::string_view mark : {"·", " ", "（", "(", "/", "　"}) {
    end = std::min(end, heading.find(mark));
  }
  return std::string(heading.substr(0, end));
}

void TunePatterns::add(const std::string& tune, const std::vector<int>& line_lengths) {
  Tune& entry = tunes_[tune];
  ++entry.lyrics;
  ++entry.patterns[line_lengths];
}

bool TunePatterns::keeps(const std::string& tune, const std::vector<int>& line_lengths) const {
  const auto entry = tunes_.find(tune);
  if (entry == tunes_.end()) return false;
  const auto pattern = entry->second.patterns.find(line_lengths);
  if (pattern == entry->second.patterns.end()) return false;
  return pattern->second >= 5 && pattern->second * 10 >= entry->second.lyrics;
}

}  // namespace shenhong
