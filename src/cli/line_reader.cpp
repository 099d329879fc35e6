#include "cli/line_reader.h"

#include <unistd.h>

#include <cerrno>

namespace shenhong {

LineReader::Got LineReader::read(std::string& line) {
  for (;;) {
    const size_t end = buffer_.find('\n');
    if (end != buffer_.npos) {
      line = buffer_.substr(0, end);
      if (line.ends_with('\r')) line.pop_back();
      buffer_.erase(0, end + 1);
      return Got::kLine;
    }
    char bytes[4096];
    const ssize_t count = ::read(STDIN_FILENO, bytes, sizeof bytes);
    if (count > 0) {
      buffer_.append(bytes, size_t(count));
    } else if (count < 0 && errno == EINTR) {
      buffer_.clear();
      return Got::kInterrupted;
    } else {
      line.swap(buffer_);
      buffer_.clear();
      return line.empty() ? Got::kEnd : Got::kLine;
    }
  }
}

}  // namespace shenhong
