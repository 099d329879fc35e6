// Ends a stream of text before the first of some strings, wherever the pieces are cut.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shenhong {

class StopStrings {
 public:
  // Error(kUsage) on an empty string or one that is not UTF-8.
  explicit StopStrings(std::vector<std::string> stops);

  // Returns what can no longer be part of a stop string. The one that is complete first ends the
  // stream, the longest of those that end there; from then on nothing comes.
  std::string push(std::string_view text);
  // The stream ended otherwise: what was held back.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;  // a proper beginning of some stop string
  bool stopped_ = false;
};

}  // namespace shenhong
