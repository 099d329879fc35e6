// Numbers that end where a page ends behind which nothing may be read or written: a step too far
// ends the program, also where it puts back what it found.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <new>

#include "core/buffer.h"

namespace shenhong {

class Fenced {
 public:
  explicit Fenced(const Buffer<float>& numbers) : size_(numbers.size()) {
    const size_t page = size_t(::sysconf(_SC_PAGESIZE));
    const size_t open = (numbers.bytes() + page - 1) / page * page;
    bytes_ = open + page;
    memory_ = static_cast<uint8_t*>(
        ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (memory_ == MAP_FAILED || ::mprotect(memory_ + open, page, PROT_NONE) != 0)
      throw std::bad_alloc();
    data_ = reinterpret_cast<float*>(memory_ + open) - size_;
    std::copy(numbers.begin(), numbers.end(), data_);
  }
  ~Fenced() { ::munmap(memory_, bytes_); }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;

  float* data() { return data_; }
  Buffer<float> numbers() const {
    Buffer<float> out(size_);
    std::copy_n(data_, size_, out.begin());
    return out;
  }

 private:
  int64_t size_;
  size_t bytes_ = 0;
  uint8_t* memory_ = nullptr;
  float* data_ = nullptr;
};

}  // namespace shenhong
