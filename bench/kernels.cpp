// bench_kernels [--json]: matrix products at the shapes of training and decoding, beside OpenBLAS
// where libopenblas.so.0 is installed, and beside what the machine can do at all.
#include <dlfcn.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <string>

#include "core/buffer.h"
#include "core/error.h"
#include "core/json.h"
#include "core/parallel.h"
#include "kernels/ceiling.h"
#include "kernels/matmul.h"

namespace shenhong {
namespace {

struct Shape {
  const char* what;
  Layout layout;
  int M, N, K;
};

constexpr Shape kShapes[] = {
    {"decode", Layout::kNT, 1, 65536, 512},    {"decode", Layout::kNT, 1, 1024, 256},
    {"decode 4", Layout::kNT, 4, 1024, 256},   {"expert", Layout::kNT, 16, 256, 256},
    {"expert", Layout::kNT, 32, 128, 256},     {"expert", Layout::kNT, 64, 256, 64},
    {"expert", Layout::kNT, 64, 256, 256},     {"expert", Layout::kNT, 128, 256, 256},
    {"expert", Layout::kNT, 512, 256, 1024},   {"expert dx", Layout::kNN, 64, 256, 256},
    {"expert dx", Layout::kNN, 128, 256, 256}, {"expert dx", Layout::kNN, 512, 1024, 256},
    {"expert dw", Layout::kTN, 256, 256, 16},  {"expert dw", Layout::kTN, 256, 256, 64},
    {"expert dw", Layout::kTN, 256, 256, 512}, {"scores", Layout::kNT, 64, 64, 48},
    {"scores", Layout::kNT, 64, 512, 48},      {"context", Layout::kNN, 64, 48, 512},
    {"keys dk", Layout::kTN, 512, 48, 64},     {"linear", Layout::kNT, 2048, 256, 256},
    {"linear", Layout::kNT, 512, 1024, 256},   {"linear dx", Layout::kNN, 512, 512, 512},
    {"linear dw", Layout::kTN, 512, 512, 512}, {"linear dw", Layout::kTN, 1024, 256, 2048},
    {"head", Layout::kNT, 512, 8192, 256},     {"head dx", Layout::kNN, 512, 256, 8192},
    {"head dw", Layout::kTN, 8192, 256, 512},  {"cube", Layout::kNT, 1024, 1024, 1024},
    {"cube", Layout::kNN, 1024, 1024, 1024},   {"cube", Layout::kTN, 1024, 1024, 1024},
};

constexpr const char* name_of(Layout layout) {
  return layout == Layout::kNT ? "NT" : layout == Layout::kNN ? "NN" : "TN";
}

struct OpenBlas {
  void (*sgemm)(int order, int a_turned, int b_turned, int M, int N, int K, float alpha,
                const float* a, int lda, const float* b, int ldb, float beta, float* c,
                int ldc) = nullptr;
  void (*set_threads)(int) = nullptr;

  // It picks its kernels when it is loaded; a core type forced on it would not be a fair peer.
  static OpenBlas load() {
    unsetenv("OPENBLAS_CORETYPE");
    OpenBlas blas;
    void* library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!library) return blas;
    blas.sgemm = reinterpret_cast<decltype(blas.sgemm)>(dlsym(library, "cblas_sgemm"));
    blas.set_threads =
        reinterpret_cast<decltype(blas.set_threads)>(dlsym(library, "openblas_set_num_threads"));
    return blas;
  }
  bool usable() const { return sgemm && set_threads; }

  void run(const Gemm<float>& g) const {
    constexpr int kRowMajor = 101, kAsIs = 111, kTurned = 112;
    sgemm(kRowMajor, g.layout == Layout::kTN ? kTurned : kAsIs,
          g.layout == Layout::kNT ? kTurned : kAsIs, g.M, g.N, g.K, 1, g.a, int(g.lda), g.b,
          int(g.ldb), 0, g.c, int(g.ldc));
  }
};

struct Run {
  std::string name;
  int threads;
  std::function<void()> once;
};

// Seconds of the fastest repetition. Long unbroken turns: an idle OpenBLAS thread spins for
// milliseconds, which the next run must not pay for.
double best_seconds(const Run& run, double operations, double budget_seconds) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const int repeats = std::max(1, int(1e7 / operations));
  double best = std::numeric_limits<double>::max();
  const auto start = Clock::now();
  do {
    const auto lap = Clock::now();
    for (int i = 0; i < repeats; ++i) run.once();
    best = std::min(best, since(lap) / repeats);
  } while (since(start) < budget_seconds);
  return best;
}

Json bench_shape(const Shape& shape, const OpenBlas& blas, double budget_seconds) {
  const auto& [what, layout, M, N, K] = shape;
  Buffer<float> a(int64_t(M) * K), b(int64_t(N) * K), c(int64_t(M) * N);
  std::fill(a.begin(), a.end(), 0.5f);
  std::fill(b.begin(), b.end(), 0.25f);
  const Gemm<float> product{layout,   M,
                            N,        K,
                            a.data(), layout == Layout::kTN ? M : K,
                            b.data(), layout == Layout::kNT ? K : N,
                            c.data(), N,
                            false};
  std::vector<Run> runs;
  for (const int threads : {1, 2}) {
    runs.push_back({fmt::format("gflops_{}t", threads), threads, [&] { matmul(product); }});
    if (blas.usable())
      runs.push_back({fmt::format("openblas_{}t", threads), threads, [&] { blas.run(product); }});
  }
  const double operations = 2.0 * M * N * K;
  Json row{{"what", what}, {"layout", name_of(layout)}, {"M", M}, {"N", N}, {"K", K}};
  for (const Run& run : runs) {
    if (thread_count() != run.threads) set_thread_count(run.threads);
    if (blas.usable()) blas.set_threads(run.threads);
    row[run.name] = operations / best_seconds(run, operations, budget_seconds) / 1e9;
  }
  return row;
}

int run(int argc, char** argv) {
  CLI::App app("Speed of the matrix products, in GFLOP/s");
  bool as_json = false;
  double budget_seconds = 0.2;
  app.add_flag("--json", as_json, "one JSON object instead of a table");
  app.add_option("--seconds", budget_seconds, "time for each run of each shape")
      ->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);

  const OpenBlas blas = OpenBlas::load();
  Json result{{"kernels", kernels<float>().name},
              {"fma_peak_gflops_1t", measure_fma_peak_gflops()},
              {"gemm_ceiling_gflops_1t", measure_gemm_ceiling_gflops(1)},
              {"gemm_ceiling_gflops", measure_gemm_ceiling_gflops(thread_count())},
              {"threads", thread_count()},
              {"bandwidth_gb_s", measure_bandwidth_gb_s()}};
  if (!as_json)
    for (const auto& [key, value] : result.items()) fmt::print("{:24} {}\n", key, dump_json(value));
  if (!as_json)
    fmt::print("{:10} {:>6} {:>6} {:>6} {:>6} {:>11} {:>12} {:>11} {:>12}\n", "", "layout", "M",
               "N", "K", "1 thread", "OpenBLAS", "2 threads", "OpenBLAS");
  result["shapes"] = Json::array();
  for (const Shape& shape : kShapes) {
    const Json row = bench_shape(shape, blas, budget_seconds);
    if (!as_json) {
      fmt::print("{:10} {:>6} {:>6} {:>6} {:>6} {:>11.1f} {:>12.1f} {:>11.1f} {:>12.1f}\n",
                 shape.what, name_of(shape.layout), shape.M, shape.N, shape.K,
                 row.value("gflops_1t", 0.0), row.value("openblas_1t", 0.0),
                 row.value("gflops_2t", 0.0), row.value("openblas_2t", 0.0));
      std::fflush(stdout);
    }
    result["shapes"].push_back(row);
  }
  if (as_json) fmt::print("{}\n", dump_json(result));
  return 0;
}

}  // namespace
}  // namespace shenhong

int main(int argc, char** argv) {
  try {
    return shenhong::run(argc, argv);
  } catch (const shenhong::Error& error) {
    fmt::print(stderr, "bench_kernels: {}\n", error.what());
    return int(error.code());
  }
}
