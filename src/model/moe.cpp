#include "model/moe.h"

#include <algorithm>

#include "core/parallel.h"
#include "kernels/kernels.h"
#include "model/linear.h"
#include "model/step_times.h"

namespace shenhong {

template <class Real>
Moe<Real>::Moe(const ModelConfig& config, const std::string& prefix)
    : router(config, prefix + "gate."),
      has_shared(config.n_shared_experts > 0),
      load(config.n_routed_experts, 0),
      D_(config.hidden_size),
      E_(config.n_routed_experts),
      M_(config.max_experts()),
      F_(config.moe_intermediate_size) {
  for (int e = 0; e < E_; ++e)
    experts.emplace_back(prefix + "experts." + std::to_string(e) + ".", D_, F_);
  if (has_shared)
    shared_experts = Mlp<Real>(prefix + "shared_experts.", D_, F_ * config.n_shared_experts);
}

template <class Real>
void Moe<Real>::dispatch(const typename Router<Real>::Saved& routed, int N, Dispatch& d) const {
  const auto for_each_choice = [&](auto&& visit) {
    for (int n = 0; n < N; ++n)
      for (int k = 0; k < routed.count[n]; ++k)
        if (const int e = routed.chosen[int64_t(n) * M_ + k]; e < E_) visit(n, k, e);
  };
  d.first.assign(E_ + 1, 0);
  for_each_choice([&](int, int, int e) { ++d.first[e + 1]; });
  for (int e = 0; e < E_; ++e) d.first[e + 1] += d.first[e];
  d.token.resize(d.slots());
  d.choice.resize(d.slots());
  d.slot.resize(int64_t(N) * M_);
  std::vector<int> next(d.first.begin(), d.first.end() - 1);
  for_each_choice([&](int n, int k, int e) {
    const int slot = next[e]++;
    d.token[slot] = n;
    d.choice[slot] = k;
    d.slot[int64_t(n) * M_ + k] = slot;
  });
}

namespace {

// The rows of x that an expert's slots ask for, side by side.
template <class Real>
void gather(const Real* x, const int* token, Real* rows, int count, int D) {
  for (int i = 0; i < count; ++i) std::copy_n(x + int64_t(token[i]) * D, D, rows + int64_t(i) * D);
}

}  // namespace

template <class Real>
void Moe<Real>::forward(const Real* x, Real* y, int N, Saved& s) {
  const Timed timed(Part::kExperts);
  router.forward(x, N, s.router);
  dispatch(s.router, N, s.dispatch);
  const Dispatch& d = s.dispatch;
  for (int e = 0; e < E_; ++e) load[e] += d.first[e + 1] - d.first[e];
  tokens += N;

  const int64_t slots = d.slots();
  Real *all_a = s.a.room(slots, F_), *all_b = s.b.room(slots, F_);
  Buffer<Real> out(slots * D_);  // each slot's FFN(x)
  parallel_for(E_, [&](int64_t e) {
    const int first = d.first[e], rows = d.first[e + 1] - first;
    if (rows == 0) return;
    const Mlp<Real>& expert = experts[e];
    thread_local Buffer<Real> xs, h;
    xs.resize(int64_t(rows) * D_);
    h.resize(int64_t(rows) * F_);
    gather(x, d.token.data() + first, xs.data(), rows, D_);
    Real* a = all_a + int64_t(first) * F_;
    Real* b = all_b + int64_t(first) * F_;
    linear(xs.data(), expert.gate_proj, a, rows, Write::kReplace);
    linear(xs.data(), expert.up_proj, b, rows, Write::kReplace);
    kernels<Real>().swiglu(a, b, h.data(), int64_t(rows) * F_);
    linear(h.data(), expert.down_proj, out.data() + int64_t(first) * D_, rows, Write::kReplace);
  });
  s.a.keep(kept_inputs(experts[0].down_proj));
  s.b.keep(kept_inputs(experts[0].down_proj));
  parallel_ranges(N, 64, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n)
      for (int64_t i = n * M_; i < n * M_ + s.router.count[n]; ++i) {
        const bool routed = s.router.chosen[i] < E_;
        const Real* of_expert = routed ? out.data() + int64_t(d.slot[i]) * D_ : x + n * D_;
        kernels<Real>().axpy(s.router.weights[i], of_expert, y + n * D_, D_);
      }
  });
  if (has_shared) {
    const Timed of_shared(Part::kSharedExpert);
    shared_experts.forward(x, y, N, s.shared);
  }
}

template <class Real>
void Moe<Real>::backward(const Real* dy, const Real* x, Real* dx, int N, Saved& s) {
  const Timed timed(Part::kExperts);
  if (has_shared) {
    const Timed of_shared(Part::kSharedExpert);
    shared_experts.backward(dy, x, dx, N, s.shared);
  }

  const Dispatch& d = s.dispatch;
  Buffer<Real> dxs(int64_t(d.slots()) * D_), dweights(int64_t(N) * M_);
  Real *all_a = s.a.numbers(), *all_b = s.b.numbers();
  parallel_for(E_, [&](int64_t e) {
    const int first = d.first[e], rows = d.first[e + 1] - first;
    if (rows == 0) return;
    Mlp<Real>& expert = experts[e];
    const int64_t size = int64_t(rows) * F_;
    thread_local Buffer<Real> xs, dys, dh, h;
    xs.resize(int64_t(rows) * D_);
    dys.resize(int64_t(rows) * D_);
    dh.resize(size);
    h.resize(size);
    gather(x, d.token.data() + first, xs.data(), rows, D_);
    gather(dy, d.token.data() + first, dys.data(), rows, D_);
    Real* a = all_a + int64_t(first) * F_;
    Real* b = all_b + int64_t(first) * F_;

    // y += w · W_down h. With g = W_downᵀ dy per slot: dw = h·g and dh = w g, so the slots' outputs
    // need not be kept; w moves onto h for W_down's gradient.
    linear_backward_input(dys.data(), expert.down_proj, dh.data(), rows, Write::kReplace);
    kernels<Real>().swiglu(a, b, h.data(), size);
    for (int i = 0; i < rows; ++i) {
      const int64_t pair = int64_t(d.token[first + i]) * M_ + d.choice[first + i];
      const Real w = s.router.weights[pair];
      Real* h_i = h.data() + int64_t(i) * F_;
      Real* dh_i = dh.data() + int64_t(i) * F_;
      dweights[pair] = kernels<Real>().dot(h_i, dh_i, F_);
      for (int f = 0; f < F_; ++f) h_i[f] *= w, dh_i[f] *= w;
    }
    linear_backward_weight(dys.data(), h.data(), expert.down_proj, rows);
    kernels<Real>().swiglu_backward(dh.data(), a, b, a, b, nullptr, size);  // a, b become da, db
    linear_backward_weight(a, xs.data(), expert.gate_proj, rows);
    linear_backward_weight(b, xs.data(), expert.up_proj, rows);
    Real* dxs_e = dxs.data() + int64_t(first) * D_;
    linear_backward_input(a, expert.gate_proj, dxs_e, rows, Write::kReplace);
    linear_backward_input(b, expert.up_proj, dxs_e, rows, Write::kAdd);
  });
  s.a.drop();
  s.b.drop();
  parallel_ranges(N, 64, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n)
      for (int64_t i = n * M_; i < n * M_ + s.router.count[n]; ++i) {
        if (s.router.chosen[i] < E_) {
          kernels<Real>().axpy(Real(1), dxs.data() + int64_t(d.slot[i]) * D_, dx + n * D_, D_);
        } else {
          dweights[i] = kernels<Real>().dot(x + n * D_, dy + n * D_, D_);
          kernels<Real>().axpy(s.router.weights[i], dy + n * D_, dx + n * D_, D_);
        }
      }
  });
  router.backward(dweights.data(), x, dx, N, s.router);
}

template class Moe<float>;
template class Moe<double>;

}  // namespace shenhong
