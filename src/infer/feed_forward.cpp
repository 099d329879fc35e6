#include "infer/feed_forward.h"

#include <functional>

#include "core/parallel.h"
#include "kernels/matmul.h"

namespace shenhong {
namespace {

// Below this many multiply-adds waking another thread costs more than it brings.
constexpr int64_t kWorthSharing = 1 << 18;

}  // namespace

void FeedForward::forward(Block<float>& block, const float* x, float* y, int C) {
  if (!block.moe) return dense(block.mlp, x, y, C);
  Moe<float>& moe = *block.moe;
  const int64_t E = int64_t(moe.experts.size());
  // With fewer pairs than experts hardly two tokens meet, and grouping them would gain nothing.
  if (int64_t(C) * K_ > E) return moe.forward(x, y, C, grouped_);
  chosen_experts(moe, x, y, C);
  if (moe.has_shared) dense(moe.shared_experts, x, y, C);
}

void FeedForward::dense(const Mlp<float>& mlp, const float* x, float* y, int C) {
  const int D = mlp.gate_proj.cols, F = mlp.gate_proj.rows;
  const int64_t size = int64_t(C) * F;
  a_.resize(size);
  b_.resize(size);
  matmul_nt(x, mlp.gate_proj.w(), a_.data(), C, F, D, Write::kReplace);
  matmul_nt(x, mlp.up_proj.w(), b_.data(), C, F, D, Write::kReplace);
  kernels<float>().swiglu(a_.data(), b_.data(), a_.data(), size);
  matmul_nt(a_.data(), mlp.down_proj.w(), y, C, D, F, Write::kAdd);
}

void FeedForward::chosen_experts(Moe<float>& moe, const float* x, float* y, int C) {
  moe.router.forward(x, C, routed_);
  const int D = moe.experts[0].gate_proj.cols, F = moe.experts[0].gate_proj.rows;
  const int64_t pairs = int64_t(C) * K_;
  a_.resize(pairs * F);
  b_.resize(pairs * F);
  out_.resize(pairs * D);
  const auto run = [&](int64_t pair) {
    const auto& kernel = kernels<float>();
    const Mlp<float>& expert = moe.experts[routed_.chosen[pair]];
    const float* row = x + pair / K_ * D;
    float* a = a_.data() + pair * F;
    float* b = b_.data() + pair * F;
    kernel.gemm({Layout::kNT, 1, F, D, row, D, expert.gate_proj.w(), D, a, F, false});
    kernel.gemm({Layout::kNT, 1, F, D, row, D, expert.up_proj.w(), D, b, F, false});
    kernel.swiglu(a, b, a, F);
    float* out = out_.data() + pair * D;
    kernel.gemm({Layout::kNT, 1, D, F, a, F, expert.down_proj.w(), F, out, D, false});
  };
  if (pairs * 3 * D * F >= kWorthSharing) {
    parallel_for(pairs, std::ref(run));
  } else {
    for (int64_t pair = 0; pair < pairs; ++pair) run(pair);
  }
  for (int64_t pair = 0; pair < pairs; ++pair) {
    ++moe.load[routed_.chosen[pair]];
    kernels<float>().axpy(routed_.weights[pair], out_.data() + pair * D, y + pair / K_ * D, D);
  }
}

}  // namespace shenhong
