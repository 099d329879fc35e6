#include "kernels/kernels.h"

#include <cstdlib>
#include <string>
#include <vector>

#include "core/error.h"
#include "kernels/simd.h"

namespace shenhong {

std::span<const Kernels<float>* const> kernels_available() {
  static const std::vector<const Kernels<float>*> tables = [] {
    std::vector<const Kernels<float>*> all = simd_kernels();
    all.push_back(&scalar_kernels<float>());
    return all;
  }();
  return tables;
}

const Kernels<float>& kernels_named(std::string_view name) {
  std::string names;
  for (const Kernels<float>* table : kernels_available()) {
    if (table->name == name) return *table;
    if (!names.empty()) names += ", ";
    names += table->name;
  }
  fail(Exit::kUsage, "SHENHONG_KERNELS = '{}': this machine runs {}", name, names);
}

template <>
const Kernels<float>& kernels<float>() {
  static const Kernels<float>& chosen = []() -> const Kernels<float>& {
    const char* name = std::getenv("SHENHONG_KERNELS");
    return name ? kernels_named(name) : *kernels_available().front();
  }();
  return chosen;
}

template <>
const Kernels<double>& kernels<double>() {
  return scalar_kernels<double>();
}

}  // namespace shenhong
