// Products with weights in panels over all threads. Results do not depend on the number of threads,
// nor a row's on the other rows.
#pragma once

#include <span>

#include "kernels/matmul.h"
#include "kernels/quantized_matrix.h"

namespace shenhong {

// Rows [M,K] that several products read; their int8 form is made when the first product asks for
// it. Refers to the floats that it was given.
class Activations {
 public:
  void set(const float* x, int M, int K);
  // Rows of `from`, some of them perhaps several times. Rows that are quantised are so once, before
  // they are copied. Refers to both arguments.
  void gather(Activations& from, std::span<const int> rows);

  // Makes what products with weights of this format read; afterwards any thread may ask for them.
  void prepare(NumberFormat format);
  // The product of rows [first, first + M) with all of w, into y [M, N].
  PanelProduct times(const WeightPanels& w, float* y, int64_t ldy, Write write, int first, int M);
  // Of all rows.
  PanelProduct times(const WeightPanels& w, float* y, Write write) {
    return times(w, y, w.rows(), write, 0, M_);
  }

 private:
  void quantize();
  const float* floats();

  const float* x_ = nullptr;
  Activations* from_ = nullptr;  // whose `rows_` these are
  std::span<const int> rows_;
  int M_ = 0, K_ = 0;
  bool quantized_ = false;
  Buffer<float> copy_;
  Buffer<int8_t> q_;
  Buffer<float> scale_;
  Buffer<int32_t> sum_;
};

// Runs all of them, cut into pieces of about equal work. Their outputs must not overlap.
void run_products(std::span<const PanelProduct> products);

}  // namespace shenhong
