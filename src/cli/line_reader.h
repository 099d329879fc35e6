// Lines from standard input that a signal can interrupt.
#pragma once

#include <string>

namespace shenhong {

class LineReader {
 public:
  enum class Got { kLine, kEnd, kInterrupted };
  // `line` without its line break. What was typed before an interruption is forgotten.
  Got read(std::string& line);

 private:
  std::string buffer_;
};

}  // namespace shenhong
