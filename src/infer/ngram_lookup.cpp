#include "infer/ngram_lookup.h"

#include <cmath>

#include "core/error.h"
#include "kernels/kernels.h"

namespace shenhong {

void NgramLookup::forward(const NgramMemoryWeights& memory, std::span<const int> tokens, float* x,
                          int C) {
  const int D = config_.hidden_size, width = config_.ngram_memory.head_dim,
            tables = memory.hash.tables(), M = tables * width, first = int(tokens.size()) - C;
  SH_ASSERT(first >= 0);
  rows_.resize(size_t(tables));
  e_.resize(int64_t(C) * M);
  key_.resize(int64_t(C) * D);
  value_.resize(int64_t(C) * D);
  query_.resize(D);
  for (int c = 0; c < C; ++c) {
    memory.hash.rows(tokens.data(), first + c, rows_.data());
    for (int i = 0; i < tables; ++i)
      dequantize_row(memory.embed.view, rows_[size_t(i)], e_.data() + int64_t(c) * M + i * width);
  }
  in_.set(e_.data(), C, M);
  const PanelProduct products[] = {in_.times(memory.key_proj, key_.data(), Write::kReplace),
                                   in_.times(memory.value_proj, value_.data(), Write::kReplace)};
  run_products(products);

  const Kernels<float>& k = kernels<float>();
  const float eps = float(config_.rms_norm_eps), scale = float(1 / std::sqrt(double(D)));
  for (int c = 0; c < C; ++c) {
    float *h = x + int64_t(c) * D, *key = key_.data() + int64_t(c) * D, rstd;
    k.rmsnorm(h, memory.query_norm.data(), query_.data(), &rstd, 1, D, eps);
    k.rmsnorm(key, memory.key_norm.data(), key, &rstd, 1, D, eps);
    const float gate = ngram_gate(scale * k.dot(key, query_.data(), D));
    k.axpy(gate, value_.data() + int64_t(c) * D, h, D);
  }
}

}  // namespace shenhong
