#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace shenhong {
namespace {

// f_i = theta^(-2i/Dr). YaRN divides by `factor` the frequencies that turn fewer than beta_slow
// times over the original context, keeps those above beta_fast, and blends linearly between.
std::vector<double> frequencies(const ModelConfig& config) {
  const int Dr = config.qk_rope_head_dim;
  const RopeScaling& yarn = config.rope_scaling;
  std::vector<double> f(Dr / 2);
  for (int i = 0; i < Dr / 2; ++i) f[i] = std::pow(config.rope_theta, -2.0 * i / Dr);
  const std::vector<double>& divisors = config.grouped_query.rope_divisors;
  for (size_t i = 0; i < divisors.size(); ++i) f[i] /= divisors[i];
  if (yarn.factor == 1) return f;

  const auto dimension_of = [&](double rotations) {
    return Dr *
           std::log(yarn.original_max_position_embeddings / (2 * std::numbers::pi * rotations)) /
           (2 * std::log(config.rope_theta));
  };
  const double low = std::max(std::floor(dimension_of(yarn.beta_fast)), 0.0);
  double high = std::min(std::ceil(dimension_of(yarn.beta_slow)), double(Dr - 1));
  if (high == low) high += 0.001;
  for (int i = 0; i < Dr / 2; ++i) {
    const double ramp = std::clamp((i - low) / (high - low), 0.0, 1.0);
    f[i] = f[i] / yarn.factor * ramp + f[i] * (1 - ramp);
  }
  return f;
}

double yarn_mscale(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

}  // namespace

template <class Real>
Rope<Real>::Rope(const ModelConfig& config)
    : Dr_(config.qk_rope_head_dim),
      step_(config.grouped_query.rope_interleave ? 2 : 1),
      apart_(config.grouped_query.rope_interleave ? 1 : Dr_ / 2) {
  const std::vector<double> f = frequencies(config);
  const int half = Dr_ / 2, positions = config.max_position_embeddings;
  const RopeScaling& yarn = config.rope_scaling;
  const double scale =
      yarn_mscale(yarn.factor, yarn.mscale) / yarn_mscale(yarn.factor, yarn.mscale_all_dim);
  cos_.resize(int64_t(positions) * half);
  sin_.resize(int64_t(positions) * half);
  for (int t = 0; t < positions; ++t)
    for (int i = 0; i < half; ++i) {
      cos_[int64_t(t) * half + i] = Real(scale * std::cos(t * f[i]));
      sin_[int64_t(t) * half + i] = Real(scale * std::sin(t * f[i]));
    }
}

template <class Real>
void Rope<Real>::rotate(Real* x, int rows, int64_t stride, int position) const {
  const int half = Dr_ / 2;
  const Real* c = cos_.data() + int64_t(position) * half;
  const Real* s = sin_.data() + int64_t(position) * half;
  for (int r = 0; r < rows; ++r, x += stride)
    for (int i = 0; i < half; ++i) {
      Real *first = x + step_ * i, *second = first + apart_;
      const Real a = *first, b = *second;
      *first = a * c[i] - b * s[i];
      *second = a * s[i] + b * c[i];
    }
}

template <class Real>
void Rope<Real>::rotate_back(Real* x, int rows, int64_t stride, int position) const {
  const int half = Dr_ / 2;
  const Real* c = cos_.data() + int64_t(position) * half;
  const Real* s = sin_.data() + int64_t(position) * half;
  for (int r = 0; r < rows; ++r, x += stride)
    for (int i = 0; i < half; ++i) {
      Real *first = x + step_ * i, *second = first + apart_;
      const Real a = *first, b = *second;
      *first = a * c[i] + b * s[i];
      *second = b * c[i] - a * s[i];
    }
}

template class Rope<float>;
template class Rope<double>;

}  // namespace shenhong
