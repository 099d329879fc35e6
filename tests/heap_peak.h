// How much memory a test takes: counts what operator new hands out, which is all that this program
// takes for itself. Included by one file of a test program, whose operators it replaces.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace shenhong {

namespace heap {
inline std::atomic<size_t> live{0}, peak{0};

// What no machine has is refused here: a sanitizer's allocator would end the program.
constexpr size_t kMost = size_t(1) << 40;

// The size stands in front of the block, one alignment before it.
inline void* take(size_t size, size_t align) {
  align = std::max(align, alignof(std::max_align_t));
  if (size > kMost) throw std::bad_alloc();
  char* block =
      static_cast<char*>(std::aligned_alloc(align, (size + 2 * align - 1) / align * align));
  if (!block) throw std::bad_alloc();
  *reinterpret_cast<size_t*>(block) = size;
  const size_t now = live += size;
  for (size_t seen = peak; seen < now && !peak.compare_exchange_weak(seen, now);) continue;
  return block + align;
}

inline void give(void* pointer, size_t align) {
  if (!pointer) return;
  align = std::max(align, alignof(std::max_align_t));
  char* block = static_cast<char*>(pointer) - align;
  live -= *reinterpret_cast<size_t*>(block);
  std::free(block);
}
}  // namespace heap

// Most bytes that `run` held at one time beyond those held before.
template <class Run>
size_t heap_peak(Run&& run) {
  const size_t before = heap::live;
  heap::peak = before;
  run();
  return heap::peak - before;
}

}  // namespace shenhong

void* operator new(size_t size) { return shenhong::heap::take(size, 1); }
void* operator new[](size_t size) { return shenhong::heap::take(size, 1); }
void* operator new(size_t size, std::align_val_t align) {
  return shenhong::heap::take(size, size_t(align));
}
void* operator new[](size_t size, std::align_val_t align) {
  return shenhong::heap::take(size, size_t(align));
}
// A sanitizer's own would take the memory from elsewhere.
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return size > shenhong::heap::kMost ? nullptr : shenhong::heap::take(size, 1);
}
void* operator new[](size_t size, const std::nothrow_t&) noexcept {
  return size > shenhong::heap::kMost ? nullptr : shenhong::heap::take(size, 1);
}
void operator delete(void* p) noexcept { shenhong::heap::give(p, 1); }
void operator delete[](void* p) noexcept { shenhong::heap::give(p, 1); }
void operator delete(void* p, size_t) noexcept { shenhong::heap::give(p, 1); }
void operator delete[](void* p, size_t) noexcept { shenhong::heap::give(p, 1); }
void operator delete(void* p, std::align_val_t align) noexcept {
  shenhong::heap::give(p, size_t(align));
}
void operator delete[](void* p, std::align_val_t align) noexcept {
  shenhong::heap::give(p, size_t(align));
}
void operator delete(void* p, size_t, std::align_val_t align) noexcept {
  shenhong::heap::give(p, size_t(align));
}
void operator delete[](void* p, size_t, std::align_val_t align) noexcept {
  shenhong::heap::give(p, size_t(align));
}
