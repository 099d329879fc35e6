// The vectorised tables for float, one per instruction set that Highway compiled and this machine
// runs, best first. Private to this folder.
#pragma once

#include <vector>

#include "kernels/kernels.h"

namespace shenhong {

std::vector<const Kernels<float>*> simd_kernels();

}  // namespace shenhong
