// How sizes are cut for the caches. Private to this folder.
#pragma once

namespace shenhong {

// Length of the pieces of `size` when it is cut into as few as possible of at most `most`: as equal
// as multiples of 32 can be, the last one shorter. `most` is a multiple of 32.
constexpr int even_piece(int size, int most) {
  constexpr int kUnit = 32;
  const int pieces = (size + most - 1) / most;
  return pieces <= 1 ? size : ((size + pieces - 1) / pieces + kUnit - 1) / kUnit * kUnit;
}

}  // namespace shenhong
