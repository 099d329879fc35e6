// The heart of Muon: the nearest (semi-)orthogonal matrix by Newton-Schulz iteration
// (Jordan et al. 2024; Liu et al. 2025, "Muon is scalable for LLM training"; techniques 2.5).
#pragma once

#include <string_view>

namespace shenhong {

enum class NewtonSchulz {
  kJordan,        // one quintic repeated: singular values from 0.01 come to within [0.68, 1.14]
  kPolarExpress,  // a quintic of its own per step (Amsel et al. 2025): within [0.86, 1.14]
};

// "jordan" or "polar". Error(kUsage) on another name.
NewtonSchulz newton_schulz_named(std::string_view name);

// x [rows,cols] <- an approximation of U Vᵀ, where x = U Σ Vᵀ. Runs on the calling thread alone:
// a model has hundreds of matrices, and callers share those out.
void orthogonalize(float* x, int rows, int cols, NewtonSchulz scheme, int steps);

}  // namespace shenhong
