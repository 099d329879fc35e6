// A memory of n-grams (Engram, arXiv 2601.07372): rows of large tables, found by hashes of the last
// tokens, are added to the stream before a block. What a common phrase means is then looked up, and
// need not be computed.
//
//   e_t = rows side by side, one per order n = 2 .. max_order and head j:
//           row = (⊕_{k<n} id_{t-k} · m_k mod 2^64) mod P_nj
//   k = W_k e_t    v = W_v e_t    a = RMSNorm(k) · RMSNorm(h_t) / √D
//   h_t += σ(sign(a) √max(|a|, 1e-6)) · v
// m_k are odd numbers of the layer, P distinct primes from `rows` up. Before the first token stands
// id = vocab_size.
// Against the paper: no short convolution behind the gate (decoding would have to cache its
// inputs), and ids are hashed as they are, not folded to canonical ones first.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/parameter.h"

namespace shenhong {

// Which rows a token reads: a function of the config, the layer and the tokens alone.
class NgramHash {
 public:
  NgramHash() = default;
  NgramHash(const ModelConfig& config, int layer);

  int tables() const { return int(primes_.size()); }
  int total_rows() const { return total_rows_; }  // of all tables, one below the other
  // rows [tables] of the token at `position` of a sequence that begins at `tokens`.
  void rows(const int* tokens, int position, int* rows) const;

 private:
  int heads_ = 0, max_order_ = 0, before_first_ = 0, total_rows_ = 0;
  std::vector<uint64_t> multipliers_;  // [max_order]
  std::vector<int> primes_, first_;    // [tables]: order by order, in it head by head
};

constexpr double kNgramTiny = 1e-6;

template <class Real>
Real ngram_gate(Real a) {
  const Real root = std::sqrt(std::max(std::abs(a), Real(kNgramTiny)));
  return Real(1) / (Real(1) + std::exp(a < 0 ? root : -root));
}

template <class Real>
class NgramMemory {
 public:
  struct Saved {
    Buffer<int> rows;                  // [N, tables]
    Buffer<Real> e;                    // [N,M], M = ngram_memory.width()
    Buffer<Real> h, key, value;        // [N,D], h before the addition
    Buffer<Real> h_rstd, key_rstd, a;  // [N]

    template <class Visit>
    void for_each(Visit&& visit) const {
      visit(rows);
      for (const auto* numbers : {&e, &h, &key, &value, &h_rstd, &key_rstd, &a}) visit(*numbers);
    }
  };

  NgramMemory(const ModelConfig& config, int layer);

  // Sequence b begins at tokens + b · stride. Adds to h [N,D], N = B·T.
  void forward(const int* tokens, int stride, Real* h, int B, int T);
  // dh [N,D] holds the gradient by the output and becomes that by the input; adds to all gradients.
  void backward(Real* dh, int N);

  template <class Self, class Visit>
  static void for_each_parameter(Self& self, Visit&& visit) {
    visit(self.embed);
    visit(self.key_proj);
    visit(self.value_proj);
    visit(self.query_norm);
    visit(self.key_norm);
  }

  Parameter<Real> embed;                 // [rows, head_dim], its gradient by rows
  Parameter<Real> key_proj, value_proj;  // [D,M]
  Parameter<Real> query_norm, key_norm;  // [D]
  NgramHash hash;
  Saved saved;

 private:
  int D_, head_dim_;
  double eps_;
};

}  // namespace shenhong
