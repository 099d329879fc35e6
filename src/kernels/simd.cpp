#include "kernels/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd.cpp"
#include "hwy/foreach_target.h"  // compiles the rest of this file once per instruction set

// clang-format off: Highway wants this order
#include "kernels/simd.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "hwy/highway.h"
// clang-format on

// Highway's own fallback without vectors, which every build must have, is no table of ours.
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
HWY_BEFORE_NAMESPACE();
namespace shenhong::HWY_NAMESPACE {
const Kernels<float>* table() { return nullptr; }
}  // namespace shenhong::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#else
#include "kernels/attend_rows-inl.h"
#include "kernels/cache_rows-inl.h"
#include "kernels/gemm-inl.h"
#include "kernels/panels_simd-inl.h"
#include "kernels/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace shenhong::HWY_NAMESPACE {

const Kernels<float>* table() {
  static const std::string name = [] {
    std::string lower = hwy::TargetName(HWY_TARGET);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](char c) { return std::tolower(c); });
    return lower;
  }();
  static const Kernels<float> entries{
      .name = name,
      .gemm = gemm,
      .gemm_depth = kDepth,
      .dot = dot,
      .axpy = axpy,
      .sum_squares = sum_squares,
      .rmsnorm = rmsnorm,
      .rmsnorm_backward = rmsnorm_backward,
      .swiglu = swiglu,
      .swiglu_backward = swiglu_backward,
      .softmax = softmax,
      .softmax_backward = softmax_backward,
      .adamw = adamw,
      .panel_product = panel_product,
      .quantize_rows = quantize_rows,
      .write_cache_row = write_cache_row,
      .read_cache_rows = read_cache_rows,
      .attend_rows = attend_rows,
  };
  return &entries;
}

}  // namespace shenhong::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace shenhong {

HWY_EXPORT(table);

std::vector<const Kernels<float>*> simd_kernels() {
  std::vector<const Kernels<float>*> tables;
  int64_t targets = hwy::SupportedTargets() & HWY_TARGETS;
  for (; targets != 0; targets &= targets - 1) {
    hwy::ChosenTarget target;
    target.Update(targets & -targets);  // the lowest bit is the best instruction set
    const Kernels<float>* entries = HWY_DISPATCH_TABLE(table)[target.GetIndex()]();
    if (entries) tables.push_back(entries);
  }
  return tables;
}

}  // namespace shenhong
#endif
