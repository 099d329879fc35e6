#include "model/ngram_memory.h"

#include <algorithm>

#include "core/parallel.h"
#include "core/random.h"
#include "kernels/kernels.h"
#include "model/linear.h"
#include "model/rmsnorm.h"
#include "model/step_times.h"

namespace shenhong {
namespace {

constexpr uint64_t kHashSeed = 0x656e6772616d;  // part of the model's form: never to change
constexpr int64_t kTokens = 64;                 // per work item

bool is_prime(int n) {
  for (int64_t d = 2; d * d <= n; ++d)
    if (n % d == 0) return false;
  return n >= 2;
}

}  // namespace

NgramHash::NgramHash(const ModelConfig& config, int layer)
    : heads_(config.ngram_memory.heads),
      max_order_(config.ngram_memory.max_order),
      before_first_(config.vocab_size) {
  for (int k = 0; k < max_order_; ++k) {
    const Philox r = philox(kHashSeed, uint64_t(layer), uint64_t(k));
    multipliers_.push_back(((uint64_t(r[0]) << 32) | r[1]) | 1);
  }
  int prime = config.ngram_memory.rows - 1;
  for (int table = 0; table < (max_order_ - 1) * heads_; ++table) {
    do ++prime;
    while (!is_prime(prime));
    first_.push_back(total_rows_);
    primes_.push_back(prime);
    total_rows_ += prime;
  }
}

void NgramHash::rows(const int* tokens, int position, int* rows) const {
  uint64_t mixed = 0;
  int table = 0;
  for (int k = 0; k < max_order_; ++k) {
    const int id = position >= k ? tokens[position - k] : before_first_;
    mixed ^= uint64_t(id) * multipliers_[k];
    if (k == 0) continue;  // a single token has its embedding
    for (int j = 0; j < heads_; ++j, ++table)
      rows[table] = first_[table] + int(mixed % uint64_t(primes_[table]));
  }
}

template <class Real>
NgramMemory<Real>::NgramMemory(const ModelConfig& config, int layer)
    : hash(config, layer),
      D_(config.hidden_size),
      head_dim_(config.ngram_memory.head_dim),
      eps_(config.rms_norm_eps) {
  const std::string prefix = "model.layers." + std::to_string(layer) + ".ngram_memory.";
  const int M = config.ngram_memory.width();
  embed = Parameter<Real>::matrix(prefix + "embed.weight", hash.total_rows(), head_dim_);
  embed.row_sparse = true;
  key_proj = Parameter<Real>::matrix(prefix + "key_proj.weight", D_, M);
  value_proj = Parameter<Real>::matrix(prefix + "value_proj.weight", D_, M);
  query_norm = Parameter<Real>::vector(prefix + "query_norm.weight", D_);
  key_norm = Parameter<Real>::vector(prefix + "key_norm.weight", D_);
}

template <class Real>
void NgramMemory<Real>::forward(const int* tokens, int stride, Real* h, int B, int T) {
  const Timed timed(Part::kEmbedding);
  const int N = B * T, tables = hash.tables(), M = tables * head_dim_;
  const int64_t size = int64_t(N) * D_;
  Saved& s = saved;
  s.rows.resize(int64_t(N) * tables);
  s.e.resize(int64_t(N) * M);
  s.h.resize(size);
  s.key.resize(size);
  s.value.resize(size);
  s.a.resize(N);
  std::copy_n(h, size, s.h.data());
  parallel_ranges(N, kTokens, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      int* rows = s.rows.data() + n * tables;
      hash.rows(tokens + n / T * stride, int(n % T), rows);
      for (int i = 0; i < tables; ++i)
        weight_row(embed, rows[i], s.e.data() + n * M + i * head_dim_);
    }
  });
  linear(s.e.data(), key_proj, s.key.data(), N, Write::kReplace);
  linear(s.e.data(), value_proj, s.value.data(), N, Write::kReplace);
  Buffer<Real> query(size), key(size);
  rmsnorm(s.h.data(), query_norm, query.data(), s.h_rstd, N, eps_);
  rmsnorm(s.key.data(), key_norm, key.data(), s.key_rstd, N, eps_);
  const Real scale = Real(1 / std::sqrt(double(D_)));
  parallel_ranges(N, kTokens, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const int64_t at = n * D_;
      s.a[n] = scale * kernels<Real>().dot(key.data() + at, query.data() + at, D_);
      kernels<Real>().axpy(ngram_gate(s.a[n]), s.value.data() + at, h + at, D_);
    }
  });
}

template <class Real>
void NgramMemory<Real>::backward(Real* dh, int N) {
  const Timed timed(Part::kEmbedding);
  const int tables = hash.tables(), M = tables * head_dim_;
  const int64_t size = int64_t(N) * D_;
  const Saved& s = saved;
  Buffer<Real> query(size), key(size), dquery(size), dkey_normed(size), dvalue(size), dkey, rstd;
  rmsnorm(s.h.data(), query_norm, query.data(), rstd, N, eps_);
  rmsnorm(s.key.data(), key_norm, key.data(), rstd, N, eps_);
  const Real scale = Real(1 / std::sqrt(double(D_)));
  parallel_ranges(N, kTokens, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const int64_t at = n * D_;
      const Real gate = ngram_gate(s.a[n]), size_a = std::abs(s.a[n]);
      const Real dgate = kernels<Real>().dot(dh + at, s.value.data() + at, D_);
      // gate = σ(u), u = ±√|a|: du/da = 1 / (2 √|a|), and 0 where |a| is clamped
      const Real du = size_a > Real(kNgramTiny) ? Real(0.5) / std::sqrt(size_a) : Real(0);
      const Real da = scale * dgate * gate * (1 - gate) * du;
      for (int d = 0; d < D_; ++d) {
        dvalue[at + d] = gate * dh[at + d];
        dquery[at + d] = da * key[at + d];
        dkey_normed[at + d] = da * query[at + d];
      }
    }
  });
  rmsnorm_backward(dquery.data(), s.h.data(), query_norm, s.h_rstd, dh, N);
  dkey.resize_zero(size);
  rmsnorm_backward(dkey_normed.data(), s.key.data(), key_norm, s.key_rstd, dkey.data(), N);

  Buffer<Real> de(int64_t(N) * M);
  linear_backward_input(dkey.data(), key_proj, de.data(), N, Write::kReplace);
  linear_backward_input(dvalue.data(), value_proj, de.data(), N, Write::kAdd);
  linear_backward_weight(dkey.data(), s.e.data(), key_proj, N);
  linear_backward_weight(dvalue.data(), s.e.data(), value_proj, N);
  for (int64_t i = 0; i < s.rows.size(); ++i)
    kernels<Real>().axpy(Real(1), de.data() + i * head_dim_,
                         embed.dw() + int64_t(s.rows[i]) * head_dim_, head_dim_);
  embed.touch(s.rows.span());
}

template class NgramMemory<float>;
template class NgramMemory<double>;

}  // namespace shenhong
