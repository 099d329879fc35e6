// Someone who writes along with the model: tokens that must not be left to chance.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace shenhong {

struct Writing {
  std::vector<int> tokens;  // the model reads them as if it had drawn them; there may be none
  std::string shown;        // what the reader sees of them
  bool end = false;         // the answer ends here
};

class Guide {
 public:
  virtual ~Guide() = default;

  // Before each draw: what is written in the model's place, or nothing, and the model draws.
  // `shown`: bytes of the answer so far. `room`: tokens that still fit; what is longer ends the
  // answer unwritten.
  virtual std::optional<Writing> write(std::span<const float> logits, size_t shown,
                                       size_t room) = 0;

  // What the model drew itself.
  virtual void drew(int) {}

  // Tokens that the model may not draw. Valid as long as the guide lives.
  virtual std::span<const int> banned() const = 0;
};

}  // namespace shenhong
