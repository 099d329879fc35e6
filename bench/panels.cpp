// bench_panels [--json]: products with weights in panels, one thread: GFLOP/s where the weights lie
// in a cache, GB/s of weights where they do not.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <limits>

#include "core/error.h"
#include "core/json.h"
#include "core/parallel.h"
#include "kernels/kernels.h"
#include "kernels/panel_matmul.h"

namespace shenhong {
namespace {

struct Shape {
  int M, N, K;
};
constexpr Shape kShapes[] = {{1, 512, 384},  {4, 512, 384},    {16, 512, 384},   {128, 512, 384},
                             {16, 256, 192}, {1, 32768, 2048}, {16, 1408, 2048}, {128, 1408, 2048}};
constexpr NumberFormat kFormats[] = {NumberFormat::kF32,  NumberFormat::kBF16, NumberFormat::kFP8,
                                     NumberFormat::kInt8, NumberFormat::kInt4, NumberFormat::kNVFP4,
                                     NumberFormat::kMXFP4};

double best_seconds(const std::function<void()>& run, double operations) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const int repeats = std::max(1, int(1e7 / operations));
  double best = std::numeric_limits<double>::max();
  const auto start = Clock::now();
  do {
    const auto lap = Clock::now();
    for (int i = 0; i < repeats; ++i) run();
    best = std::min(best, since(lap) / repeats);
  } while (since(start) < 0.2);
  return best;
}

int run(int argc, char** argv) {
  CLI::App app("Speed of products with weights in panels, one thread");
  bool as_json = false;
  app.add_flag("--json", as_json, "one JSON object instead of a table");
  CLI11_PARSE(app, argc, argv);
  set_thread_count(1);
  Json result{{"kernels", kernels<float>().name}, {"shapes", Json::array()}};
  for (const Shape& s : kShapes) {
    Buffer<float> w(int64_t(s.N) * s.K), x(int64_t(s.M) * s.K), y(int64_t(s.M) * s.N);
    for (int64_t i = 0; i < w.size(); ++i) w[i] = float(i % 13 - 6);
    for (int64_t i = 0; i < x.size(); ++i) x[i] = float(i % 11 - 5);
    for (const NumberFormat format : kFormats) {
      const WeightPanels panels(format, s.N, s.K, w.data());
      Activations rows;
      rows.set(x.data(), s.M, s.K);
      const PanelProduct product = rows.times(panels, y.data(), Write::kReplace);
      const double operations = 2.0 * s.M * s.N * s.K;
      const double seconds = best_seconds([&] { run_products({&product, 1}); }, operations);
      const Json row{{"format", format_name(format)},
                     {"M", s.M},
                     {"N", s.N},
                     {"K", s.K},
                     {"gflops", operations / seconds / 1e9},
                     {"gb_s", double(panels.bytes()) / seconds / 1e9}};
      if (!as_json)
        fmt::print("{:6} {:>5} {:>6} {:>5} {:>9.1f} GFLOP/s {:>7.1f} GB/s\n", format_name(format),
                   s.M, s.N, s.K, row["gflops"].get<double>(), row["gb_s"].get<double>());
      result["shapes"].push_back(row);
    }
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
    fmt::print(stderr, "bench_panels: {}\n", error.what());
    return int(error.code());
  }
}
