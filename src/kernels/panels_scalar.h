// The definition of products with panels (panels.h). Private to this folder.
#pragma once

#include "kernels/panels.h"

namespace shenhong {

void panel_product_scalar(const PanelProduct& product) noexcept;
void quantize_rows_scalar(const float* x, int64_t ldx, int M, int K, int8_t* q, float* scale,
                          int32_t* sum) noexcept;

}  // namespace shenhong
