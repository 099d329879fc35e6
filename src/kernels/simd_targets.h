// Which of Highway's instruction sets are compiled; included before anything of Highway. Private to
// this folder.
//
// SSE4 has no fused multiply-add and would not give the bits of the others: a processor without
// AVX2 runs the scalar definition. SVE's vectors have no size at compile time, but the tiles are
// arrays of vectors: processors that have it run NEON.
#pragma once

#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
// AVX-512 with VNNI is a table of its own: dot products of bytes in one instruction.
#define HWY_WANT_AVX3_DL
