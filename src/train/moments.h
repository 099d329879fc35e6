// One of an optimizer's moments over a tensor: floats, or bf16 as DeepSeek-V3 keeps them (V3
// report, 3.3.3).
#pragma once

#include <cstdint>
#include <span>

#include "core/buffer.h"
#include "core/floats.h"

namespace shenhong {

class Moments {
 public:
  // Zeros.
  Moments(int64_t size, bool bf16) : bf16_(bf16) {
    if (bf16)
      bits_.resize_zero(size);
    else
      floats_.resize_zero(size);
  }

  // Elements begin .. begin + n - 1 to read and change: in place, or in `room` until they are put
  // back.
  float* take(int64_t begin, int64_t n, Buffer<float>& room) {
    if (!bf16_) return floats_.data() + begin;
    room.resize(n);
    for (int64_t i = 0; i < n; ++i) room[i] = bf16_to_float(bits_[begin + i]);
    return room.data();
  }
  void put_back(int64_t begin, int64_t n, const float* taken) {
    if (!bf16_) return;
    for (int64_t i = 0; i < n; ++i) bits_[begin + i] = float_to_bf16(taken[i]);
  }

  int64_t size() const { return bf16_ ? bits_.size() : floats_.size(); }
  int64_t bytes() const { return int64_t(floats_.bytes() + bits_.bytes()); }
  // All of it; one of the two is empty.
  std::span<float> floats() { return floats_.span(); }
  std::span<uint16_t> bits() { return bits_.span(); }

 private:
  bool bf16_;
  Buffer<float> floats_;
  Buffer<uint16_t> bits_;
};

}  // namespace shenhong
