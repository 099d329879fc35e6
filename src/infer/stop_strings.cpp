#include "infer/stop_strings.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

// The longest end of `text` that is a proper beginning of `stop`.
size_t overlap(std::string_view text, std::string_view stop) {
  for (size_t n = std::min(text.size(), stop.size() - 1); n > 0; --n)
    if (text.ends_with(stop.substr(0, n))) return n;
  return 0;
}

}  // namespace

StopStrings::StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {
  for (const std::string& stop : stops_) {
    SH_CHECK(!stop.empty(), kUsage,
             "stop: a stop string is empty, which would end every answer at once");
    SH_CHECK(is_valid_utf8(stop), kUsage, "stop: '{}' is not valid UTF-8", sanitise_utf8(stop));
  }
}

std::string StopStrings::push(std::string_view text) {
  if (stopped_) return {};
  held_ += text;
  size_t begin = held_.npos, end = held_.npos;
  for (const std::string& stop : stops_) {
    const size_t found = held_.find(stop);
    if (found == held_.npos) continue;
    const size_t found_end = found + stop.size();
    if (end == held_.npos || found_end < end || (found_end == end && found < begin)) {
      begin = found;
      end = found_end;
    }
  }
  if (end != held_.npos) {
    stopped_ = true;
    held_.resize(begin);
    return std::exchange(held_, {});
  }
  size_t keep = 0;
  for (const std::string& stop : stops_) keep = std::max(keep, overlap(held_, stop));
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

std::string StopStrings::finish() { return std::exchange(held_, {}); }

}  // namespace shenhong
