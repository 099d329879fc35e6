// The random Hadamard transform of 16 points: spreads an outlier over its block before rounding
// (techniques 3.4).
#pragma once

#include <cstdint>

namespace shenhong {

constexpr int kHadamard = 16;

// Rows of the transformed matrix: blocks of 16, the last filled up with rows of zeros.
constexpr int hadamard_rows(int rows) { return (rows + kHadamard - 1) / kHadamard * kHadamard; }

// Along the rows, block by block: out [hadamard_rows(rows), cols] = H·diag(±1)·x / 4, where bit i
// of `signs` turns row i of each block around. Orthogonal: of two matrices that went through it
// with the same signs, aᵀb is what it was.
void hadamard(uint16_t signs, const float* x, float* out, int rows, int cols);

}  // namespace shenhong
