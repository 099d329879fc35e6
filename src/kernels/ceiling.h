// What this machine can do right now: the denominators of every speed that is reported. Its own
// speed moves within minutes on shared hosts, so take the ceiling next to the measurement.
#pragma once

namespace shenhong {

// Best of several 512³ products, one per thread on `threads` of the threads in use, in GFLOP/s.
// Takes about 0.2 s.
double measure_gemm_ceiling_gflops(int threads);

// Best of several reads of 256 MiB by all threads, four streams each, in GB/s. Takes about 0.3 s.
double measure_bandwidth_gb_s();

// Fused multiply-adds out of registers on one thread, in GFLOP/s: what no product can pass. Takes
// about 0.1 s.
double measure_fma_peak_gflops();

}  // namespace shenhong
