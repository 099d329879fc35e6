#include "kernels/panel_matmul.h"

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "core/parallel.h"
#include "core/parallel_ahead.h"
#include "kernels/kernels.h"

namespace shenhong {
namespace {

// Pieces have at least so many, and are more than the threads, so that none waits long for the
// last.
constexpr int64_t kPieceWork = 1 << 16;
constexpr int kPieces = 128;
// Pieces begin at multiples of what every table's tiles hold.
constexpr int kPanelUnit = 4, kRowUnit = 24;
constexpr int kRowsAtOnce = 16;  // per work item

// In multiply-adds; where there are few rows, the reading of the weights takes as long as two a
// byte.
int64_t work_of(const PanelProduct& p) {
  const int64_t sums = int64_t(p.M) * kPanelRows * p.w.cols;
  return (p.last - p.first) * std::max(sums, 2 * panel_shape(p.w.format, p.w.cols).bytes);
}

const uint8_t* start_of(const PanelProduct& p) {
  return p.w.bytes + p.first * panel_shape(p.w.format, p.w.cols).bytes;
}

PanelProduct rows_of(const PanelProduct& p, int m, int M) {
  PanelProduct part = p;
  part.M = M;
  if (takes_int8(p.w.format)) {
    part.q.q += int64_t(m) * p.w.cols;
    part.q.scale += int64_t(m) * (p.w.cols / kInt8Block);
    part.q.sum += int64_t(m) * (p.w.cols / 16);
  } else {
    part.x += m * p.ldx;
  }
  part.y += m * p.ldy;
  return part;
}

// Cuts by panels first, then by rows: every cut by rows reads the weights once more.
void cut(const PanelProduct& p, int64_t piece_work, std::vector<PanelProduct>& pieces) {
  const int64_t wanted = std::max<int64_t>(1, work_of(p) / piece_work);
  const int panels = p.last - p.first;
  const int stripes = int(std::min<int64_t>(wanted, (panels + kPanelUnit - 1) / kPanelUnit));
  const int bands = int(std::clamp<int64_t>(wanted / stripes, 1, std::max(1, p.M / kRowUnit)));
  const auto at = [](int size, int unit, int count, int i) {
    const int64_t units = (int64_t(size) + unit - 1) / unit;
    return int(std::min<int64_t>(size, units * i / count * unit));
  };
  for (int s = 0; s < stripes; ++s) {
    for (int b = 0; b < bands; ++b) {
      const int m = at(p.M, kRowUnit, bands, b);
      PanelProduct piece = rows_of(p, m, at(p.M, kRowUnit, bands, b + 1) - m);
      piece.first = p.first + at(panels, kPanelUnit, stripes, s);
      piece.last = p.first + at(panels, kPanelUnit, stripes, s + 1);
      if (piece.M > 0 && piece.first < piece.last) pieces.push_back(piece);
    }
  }
}

// run(begin, end) over M rows of K numbers.
template <class Run>
void for_rows(int M, int K, const Run& run) {
  if (int64_t(M) * K < kWorthSharing / 4) return run(0, M);
  parallel_ranges(M, kRowsAtOnce, run);
}

// Rows of `width` numbers.
template <class T>
void copy_rows(const T* from, std::span<const int> rows, int width, T* to) {
  for (const int row : rows) to = std::copy_n(from + int64_t(row) * width, width, to);
}

}  // namespace

void Activations::set(const float* x, int M, int K) {
  x_ = x;
  from_ = nullptr;
  M_ = M;
  K_ = K;
  quantized_ = false;
}

void Activations::gather(Activations& from, std::span<const int> rows) {
  set(nullptr, int(rows.size()), from.K_);
  from_ = &from;
  rows_ = rows;
}

void Activations::prepare(NumberFormat format) {
  if (takes_int8(format)) {
    quantize();
  } else {
    floats();
  }
}

const float* Activations::floats() {
  if (x_) return x_;
  const float* from = from_->floats();
  copy_.resize(int64_t(M_) * K_);
  for_rows(M_, K_, [&](int64_t begin, int64_t end) {
    copy_rows(from, rows_.subspan(size_t(begin), size_t(end - begin)), K_,
              copy_.data() + begin * K_);
  });
  return x_ = copy_.data();
}

void Activations::quantize() {
  if (quantized_) return;
  quantized_ = true;
  const int scales = K_ / kInt8Block, sums = K_ / 16;
  q_.resize(int64_t(M_) * K_);
  scale_.resize(int64_t(M_) * scales);
  sum_.resize(int64_t(M_) * sums);
  if (from_) from_->quantize();
  for_rows(M_, K_, [&](int64_t begin, int64_t end) {
    int8_t* q = q_.data() + begin * K_;
    float* scale = scale_.data() + begin * scales;
    int32_t* sum = sum_.data() + begin * sums;
    if (!from_)
      return kernels<float>().quantize_rows(x_ + begin * K_, K_, int(end - begin), K_, q, scale,
                                            sum);
    const auto rows = rows_.subspan(size_t(begin), size_t(end - begin));
    copy_rows(from_->q_.data(), rows, K_, q);
    copy_rows(from_->scale_.data(), rows, scales, scale);
    copy_rows(from_->sum_.data(), rows, sums, sum);
  });
}

PanelProduct Activations::times(const WeightPanels& w, float* y, int64_t ldy, Write write,
                                int first, int M) {
  SH_ASSERT(w.cols() == K_ && first >= 0 && first + M <= M_);
  PanelProduct p{w.view(), 0, w.view().count(), M_, nullptr, K_, {}, y, ldy, write == Write::kAdd};
  prepare(p.w.format);
  if (takes_int8(p.w.format)) {
    p.q = {q_.data(), scale_.data(), sum_.data()};
  } else {
    p.x = x_;
  }
  p = rows_of(p, first, M);
  p.y = y;
  return p;
}

void run_products(std::span<const PanelProduct> products) {
  const auto product = kernels<float>().panel_product;
  int64_t work = 0;
  for (const PanelProduct& p : products) work += work_of(p);
  if (work < kWorthSharing) {
    for (const PanelProduct& p : products) product(p);
    return;
  }
  thread_local std::vector<PanelProduct> pieces;
  pieces.clear();
  for (const PanelProduct& p : products) cut(p, std::max(kPieceWork, work / kPieces), pieces);
  const std::span<const PanelProduct> all = pieces;
  parallel_for_ahead(int64_t(all.size()), [&, all](int64_t i, int64_t next) {
    PanelProduct piece = all[size_t(i)];
    piece.next = size_t(next) < all.size() ? start_of(all[size_t(next)]) : nullptr;
    product(piece);
  });
}

}  // namespace shenhong
