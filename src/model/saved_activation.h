// A matrix of activations between the forward pass that wrote it and the backward pass that reads
// it: as written, or in fewer bits. Only then is it counted, and only then does its size matter:
// all layers' lie in memory at one time.
#pragma once

#include <type_traits>
#include <utility>

#include "core/buffer.h"
#include "core/error.h"
#include "kernels/row_codes.h"

namespace shenhong {

template <class Real>
class SavedActivation {
 public:
  // Room for the forward pass to write [rows, cols] into; undefined contents.
  Real* room(int64_t rows, int cols) {
    rows_ = rows;
    cols_ = cols;
    codes_ = {};
    numbers_.resize(rows * cols);
    return numbers_.data();
  }
  // The forward pass is done with it: from now on it is held in `format`.
  void keep(NumberFormat format) {
    if (format == NumberFormat::kF32) return;
    if constexpr (std::is_same_v<Real, float>) {
      codes_ = encode_rows(format, numbers_.data(), rows_, cols_);
      numbers_ = {};
    } else {
      SH_ASSERT(format == NumberFormat::kF32);
    }
  }
  // What was kept, for the backward pass to read and to write over. The codes are given up.
  Real* numbers() {
    if constexpr (std::is_same_v<Real, float>) {
      if (codes_.rows > 0) {
        numbers_.resize(rows_ * cols_);
        decode_rows(codes_, numbers_.data());
        codes_ = {};
        decoded_ = true;
      }
    }
    return numbers_.data();
  }
  // The backward pass is done with it. What was never encoded stays, for the next pass to reuse.
  void drop() {
    if (std::exchange(decoded_, false)) numbers_ = {};
  }

  int64_t bytes() const { return int64_t(numbers_.bytes()) + codes_.bytes(); }
  int64_t plain_bytes() const { return rows_ * cols_ * int64_t(sizeof(Real)); }

 private:
  int64_t rows_ = 0;
  int cols_ = 0;
  Buffer<Real> numbers_;
  RowCodes codes_;
  bool decoded_ = false;
};

// What all activations of a model take between the passes, and would take unencoded.
struct ActivationBytes {
  int64_t held = 0, plain = 0;

  template <class Real>
  void operator()(const SavedActivation<Real>& a) {
    held += a.bytes();
    plain += a.plain_bytes();
  }
  template <class T>
  void operator()(const Buffer<T>& b) {
    held += int64_t(b.bytes());
    plain += int64_t(b.bytes());
  }
};

}  // namespace shenhong
