// Random choices that are told by a seed and a stream alone.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/random.h"

namespace shenhong {

class Dice {
 public:
  Dice(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}
  uint64_t below(uint64_t n) { return uniform_below(n, seed_, stream_, at_++); }
  bool chance(double share) { return uniform(seed_, stream_, at_++) < share; }
  template <class T>
  const T& pick(const std::vector<T>& list) {
    SH_ASSERT(!list.empty());
    return list[below(list.size())];
  }
  template <class T>
  void shuffle(std::vector<T>& list) {
    for (size_t i = list.size(); i > 1; --i) std::swap(list[i - 1], list[below(i)]);
  }

 private:
  uint64_t seed_, stream_, at_ = 0;
};

}  // namespace shenhong
