// RMSNorm of many rows over all threads.
#pragma once

#include "core/buffer.h"

namespace shenhong {

// x [C,D] -> y [C,D], which may be x. gain [D].
void norm_rows(const float* x, const Buffer<float>& gain, float* y, int C, double eps);

}  // namespace shenhong
