// Attention of some heads over rows of the cache, some rows at a time (online softmax: Milakov &
// Gimelshein, 2018). The heads' queries meet whole rows as keys and the rows' coded numbers, the
// latents, as values; with top = -inf, sum = 0 and o = 0 before the first rows,
//
//   s_t  = scale·q·c_t              top' = max(top, max s_t)      keep = exp(top - top')
//   sum' = keep·sum + Σ exp(s_t - top')      o' = keep·o + Σ exp(s_t - top')·c_t[0, coded)
//
// and o/sum is the softmax-weighted mean of all rows so far. Weights below exp(kNegligibleLog) of
// the largest so far are 0.
#pragma once

#include <cstdint>

#include "kernels/cache_rows.h"

namespace shenhong {

constexpr int kMostRows = 32;  // that are met at a time

struct AttendRows {
  CacheRow row;
  const uint8_t* rows;  // as write_cache_row left them, one after the other, count <= kMostRows
  const uint8_t* next;  // what is most likely met after them, is fetched ahead
  int count, heads;
  const float* q;  // [heads, row.size()]
  float scale;
  float *top, *sum;  // [heads]
  float* o;          // [heads, row.coded]
};

void attend_rows_scalar(const AttendRows& a) noexcept;

}  // namespace shenhong
