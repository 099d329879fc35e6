// What simd.cpp takes from panels_simd.cpp, once per instruction set.
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/panels.h"

#if defined(SHENHONG_KERNELS_PANELS_SIMD_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef SHENHONG_KERNELS_PANELS_SIMD_INL_H
#undef SHENHONG_KERNELS_PANELS_SIMD_INL_H
#else
#define SHENHONG_KERNELS_PANELS_SIMD_INL_H
#endif

namespace shenhong::HWY_NAMESPACE {

void panel_product(const PanelProduct& product) noexcept;
void quantize_rows(const float* x, int64_t ldx, int M, int K, int8_t* q, float* scale,
                   int32_t* sum) noexcept;

}  // namespace shenhong::HWY_NAMESPACE

#endif  // toggle
