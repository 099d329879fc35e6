#include "kernels/attend_rows.h"

#include <algorithm>
#include <cmath>

#include "core/buffer.h"
#include "kernels/kernels.h"

namespace shenhong {

void attend_rows_scalar(const AttendRows& a) noexcept {
  const int size = a.row.size(), coded = a.row.coded;
  thread_local Buffer<float> wide;
  wide.resize(int64_t(a.count) * size);
  read_cache_rows_scalar(a.row, a.rows, a.count, 0, size, wide.data());
  const auto weight = [](double z) { return z < kNegligibleLog ? 0 : std::exp(z); };
  for (int h = 0; h < a.heads; ++h) {
    const float* q = a.q + int64_t(h) * size;
    double p[kMostRows], top = a.top[h];
    for (int t = 0; t < a.count; ++t) {
      p[t] = 0;
      for (int k = 0; k < size; ++k) p[t] += double(q[k]) * double(wide[int64_t(t) * size + k]);
      p[t] *= double(a.scale);
      top = std::max(top, p[t]);
    }
    const double keep = double(a.top[h]) == top ? 1 : weight(double(a.top[h]) - top);
    double sum = keep * double(a.sum[h]);
    for (int t = 0; t < a.count; ++t) sum += p[t] = weight(p[t] - top);
    a.top[h] = float(top);
    a.sum[h] = float(sum);
    for (int k = 0; k < coded; ++k) {
      float& o = a.o[int64_t(h) * coded + k];
      double mixed = keep * double(o);
      for (int t = 0; t < a.count; ++t) mixed += p[t] * double(wide[int64_t(t) * size + k]);
      o = float(mixed);
    }
  }
}

}  // namespace shenhong
