// Losses that push the router's scores towards an even load: the alternative to the biases that
// train/balance moves.
//
//   L = Σ_i f_i P_i    f_i = E/(K T) Σ_t 1[i among the K best of s_t]    P_i = 1/T Σ_t s_ti / Σ_j
//   s_tj
// over the T tokens of one sequence (V3 report, 2.1.2, complementary sequence-wise loss) or over
// all tokens of the batch (Switch Transformers, 2.2; GShard's with K = 2). 1 is even. The K best
// are those by the scores alone, without biases or thresholds; f takes no gradient.
#pragma once

#include <cstdint>

namespace shenhong {

struct BalanceLoss {
  double weight = 0;  // of each scope's L; 0 = off
  int scope = 0;      // tokens that one L is over, which divides the batch; 0 = all of the batch
};

// scores s [N,E] -> weight · Σ_scopes L. Adds its gradient to dscores [N,E] unless that is null.
template <class Real>
double balance_loss(const Real* scores, int N, int E, int K, const BalanceLoss& loss,
                    Real* dscores);

}  // namespace shenhong
