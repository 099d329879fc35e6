// An owned, 64-byte-aligned array of plain numbers: the only owner of numeric memory above
// `kernels`.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

namespace shenhong {

template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  explicit Buffer(int64_t size) { resize(size); }
  Buffer(const Buffer& other) { *this = other; }
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(const Buffer& other) {
    if (this == &other) return *this;
    resize(other.size_);
    if (size_ > 0) std::memcpy(data_.get(), other.data(), bytes());
    return *this;
  }
  Buffer& operator=(Buffer&& other) noexcept {
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
    return *this;
  }

  // Contents are undefined after growth: training steps reuse buffers and overwrite them whole.
  void resize(int64_t size) {
    if (size > capacity_) {
      data_.reset(static_cast<T*>(::operator new(size_t(size) * sizeof(T), std::align_val_t(64))));
      capacity_ = size;
    }
    size_ = size;
  }
  void resize_zero(int64_t size) {
    resize(size);
    zero();
  }
  void zero() {
    if (size_ > 0) std::memset(static_cast<void*>(data_.get()), 0, bytes());
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  int64_t size() const { return size_; }
  size_t bytes() const { return size_t(size_) * sizeof(T); }
  bool empty() const { return size_ == 0; }
  T& operator[](int64_t i) { return data_.get()[i]; }
  const T& operator[](int64_t i) const { return data_.get()[i]; }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }
  std::span<T> span() { return {data(), size_t(size_)}; }
  std::span<const T> span() const { return {data(), size_t(size_)}; }

 private:
  struct Free {
    void operator()(T* p) const { ::operator delete(p, std::align_val_t(64)); }
  };
  std::unique_ptr<T[], Free> data_;
  int64_t size_ = 0, capacity_ = 0;
};

}  // namespace shenhong
