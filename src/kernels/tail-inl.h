// The last vector of a row, of which only the first lanes belong to it. What follows may be no
// memory at all, or numbers that another thread writes at this moment: it is neither read nor
// written. Compiled once per instruction set.
#include <cstddef>
#include <cstring>

#include "hwy/highway.h"

#if defined(SHENHONG_KERNELS_TAIL_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef SHENHONG_KERNELS_TAIL_INL_H
#undef SHENHONG_KERNELS_TAIL_INL_H
#else
#define SHENHONG_KERNELS_TAIL_INL_H
#endif

HWY_BEFORE_NAMESPACE();
namespace shenhong::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// What is loaded has zeros in the other lanes.
struct Tail {
  using F = hn::ScalableTag<float>;
  using Vector = hn::Vec<F>;

  size_t lanes;  // up to those of a vector
  hn::Mask<F> inside;

  explicit HWY_INLINE Tail(size_t n) : lanes(n), inside(hn::FirstN(F(), n)) {}

  HWY_INLINE Vector keep(Vector v, Vector outside) const {
    return hn::IfThenElse(inside, v, outside);
  }

#if HWY_ARCH_X86
  // Masked loads and stores; elsewhere Highway reads all lanes and writes them back.
  HWY_INLINE Vector load(const float* p) const { return hn::MaskedLoad(inside, F(), p); }
  HWY_INLINE void store(Vector v, float* p) const { hn::BlendedStore(v, inside, F(), p); }
#else
  HWY_INLINE Vector load(const float* p) const {
    HWY_ALIGN float numbers[HWY_LANES(float)] = {};
    std::memcpy(numbers, p, lanes * sizeof(float));
    return hn::Load(F(), numbers);
  }
  HWY_INLINE void store(Vector v, float* p) const {
    HWY_ALIGN float numbers[HWY_LANES(float)];
    hn::Store(v, F(), numbers);
    std::memcpy(p, numbers, lanes * sizeof(float));
  }
#endif
};

}  // namespace shenhong::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
