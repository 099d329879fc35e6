#include "train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "core/error.h"
#include "core/parallel.h"
#include "kernels/kernels.h"
#include "model/step_times.h"

namespace shenhong {
namespace {

constexpr int64_t kChunk = 65536;

bool belongs_to_balancer(const Parameter<float>& parameter) {
  return parameter.name.ends_with("e_score_correction_bias");
}

bool is_hidden_matrix(const Parameter<float>& parameter) {
  const std::string_view name = parameter.name;
  return !parameter.is_vector && name.find("embed_tokens") == name.npos &&
         name.find("lm_head") == name.npos && name.find("shared_head") == name.npos &&
         !name.ends_with("mlp.gate.weight");
}

double cost(const Parameter<float>& parameter) {
  const double m = std::min(parameter.rows, parameter.cols);
  return m * m * (2.0 * std::max(parameter.rows, parameter.cols) + m);
}

}  // namespace

void OptimizerConfig::validate(const std::string& where) const {
  SH_CHECK(method == "muon" || method == "adamw", kUsage, "{}: method = '{}': want muon or adamw",
           where, method);
  for (const auto& [name, value] : {std::pair<const char*, double>{"beta1", beta1},
                                    {"beta2", beta2},
                                    {"muon_momentum", muon_momentum}})
    SH_CHECK(value >= 0 && value < 1, kUsage, "{}: {} = {}: want 0 to below 1", where, name, value);
  SH_CHECK(eps > 0, kUsage, "{}: eps = {}: want a number above 0", where, eps);
  SH_CHECK(weight_decay >= 0, kUsage, "{}: weight_decay = {}: want 0 or more", where, weight_decay);
  SH_CHECK(clip > 0, kUsage, "{}: clip = {}: want a number above 0", where, clip);
  SH_CHECK(newton_schulz_steps >= 1 && newton_schulz_steps <= 20, kUsage,
           "{}: newton_schulz_steps = {}: want 1 to 20", where, newton_schulz_steps);
  newton_schulz_named(newton_schulz);
}

Optimizer::Optimizer(const OptimizerConfig& config,
                     const std::vector<Parameter<float>*>& parameters, bool bf16_moments)
    : config_(config), newton_schulz_(newton_schulz_named(config.newton_schulz)) {
  for (Parameter<float>* parameter : parameters) {
    if (belongs_to_balancer(*parameter)) continue;
    SH_ASSERT(parameter->grad.size() == parameter->size());
    if (parameter->row_sparse) {
      const Moments zeros(parameter->size(), bf16_moments);
      sparse_.push_back({parameter, zeros, zeros, {parameter->rows, false}});
      continue;
    }
    if (config.method == "muon" && is_hidden_matrix(*parameter)) {
      muon_.push_back({parameter, {parameter->size(), bf16_moments}});
      continue;
    }
    const int slot = int(adamw_.size());
    const Moments zeros(parameter->size(), bf16_moments);
    adamw_.push_back({parameter, zeros, zeros});
    for (int64_t begin = 0; begin < parameter->size(); begin += kChunk)
      chunks_.push_back({slot, begin, std::min(kChunk, parameter->size() - begin)});
  }
  std::stable_sort(muon_.begin(), muon_.end(), [](const MuonSlot& a, const MuonSlot& b) {
    return cost(*a.parameter) > cost(*b.parameter);
  });
}

double Optimizer::gradient_norm() const {
  const Timed timed(Part::kOptimizer);
  std::vector<double> sums(chunks_.size() + muon_.size());
  parallel_for(int64_t(sums.size()), [&](int64_t i) {
    const auto sum_squares = kernels<float>().sum_squares;
    if (i < int64_t(chunks_.size())) {
      const Chunk& chunk = chunks_[i];
      const Buffer<float>& grad = adamw_[chunk.slot].parameter->grad;
      sums[i] = sum_squares(grad.data() + chunk.begin, chunk.size);
    } else {
      const Buffer<float>& grad = muon_[i - chunks_.size()].parameter->grad;
      sums[i] = sum_squares(grad.data(), grad.size());
    }
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  for (const SparseSlot& slot : sparse_) {
    const Parameter<float>& p = *slot.parameter;
    for (const int row : p.touched)
      total += kernels<float>().sum_squares(p.grad.data() + int64_t(row) * p.cols, p.cols);
  }
  return std::sqrt(total);
}

double Optimizer::clip_scale(double norm) const {
  return norm > config_.clip ? config_.clip / norm : 1;
}

void Optimizer::step(double lr, double gradient_scale) {
  const Timed timed(Part::kOptimizer);
  ++updates_;
  parallel_for(int64_t(muon_.size() + chunks_.size()), [&](int64_t i) {
    if (i < int64_t(muon_.size()))
      muon(muon_[i], lr, gradient_scale);
    else
      adamw(chunks_[i - muon_.size()], lr, gradient_scale);
  });
  for (SparseSlot& slot : sparse_) sparse_adamw(slot, lr, gradient_scale);
}

void Optimizer::adamw(const Chunk& chunk, double lr, double gradient_scale) {
  Slot& slot = adamw_[chunk.slot];
  const AdamWStep step = {.lr = lr,
                          .beta1 = config_.beta1,
                          .beta2 = config_.beta2,
                          .eps = config_.eps,
                          .weight_decay = slot.parameter->is_vector ? 0 : config_.weight_decay,
                          .correction1 = 1 - std::pow(config_.beta1, double(updates_)),
                          .correction2 = 1 - std::pow(config_.beta2, double(updates_)),
                          .gradient_scale = gradient_scale};
  thread_local Buffer<float> room_m, room_v;
  float* m = slot.exp_avg.take(chunk.begin, chunk.size, room_m);
  float* v = slot.exp_avg_sq.take(chunk.begin, chunk.size, room_v);
  kernels<float>().adamw(slot.parameter->value.data() + chunk.begin,
                         slot.parameter->grad.data() + chunk.begin, m, v, step, chunk.size);
  slot.exp_avg.put_back(chunk.begin, chunk.size, m);
  slot.exp_avg_sq.put_back(chunk.begin, chunk.size, v);
}

void Optimizer::sparse_adamw(SparseSlot& slot, double lr, double gradient_scale) {
  constexpr int64_t kRows = 512;  // per work item
  Parameter<float>& p = *slot.parameter;
  const std::span<float> row_updates = slot.row_updates.floats();
  parallel_ranges(int64_t(p.touched.size()), kRows, [&](int64_t begin, int64_t end) {
    thread_local Buffer<float> room_m, room_v;
    for (int64_t i = begin; i < end; ++i) {
      const int row = p.touched[size_t(i)];
      const int64_t at = int64_t(row) * p.cols;
      const double updates = double(++row_updates[size_t(row)]);
      const AdamWStep step = {.lr = lr,
                              .beta1 = config_.beta1,
                              .beta2 = config_.beta2,
                              .eps = config_.eps,
                              .weight_decay = 0,
                              .correction1 = 1 - std::pow(config_.beta1, updates),
                              .correction2 = 1 - std::pow(config_.beta2, updates),
                              .gradient_scale = gradient_scale};
      float* m = slot.exp_avg.take(at, p.cols, room_m);
      float* v = slot.exp_avg_sq.take(at, p.cols, room_v);
      kernels<float>().adamw(p.value.data() + at, p.grad.data() + at, m, v, step, p.cols);
      slot.exp_avg.put_back(at, p.cols, m);
      slot.exp_avg_sq.put_back(at, p.cols, v);
    }
  });
}

// M = μM + G;  G' = G + μM;  W = W(1 - ηλ) - η · 0.2·sqrt(max(m,n)) · orthogonalised G'.
// The factor gives the update AdamW's usual root mean square, so that η and λ carry over.
void Optimizer::muon(MuonSlot& slot, double lr, double gradient_scale) {
  thread_local Buffer<float> update, room;
  Parameter<float>& parameter = *slot.parameter;
  const int64_t size = parameter.size();
  const float mu = float(config_.muon_momentum), g = float(gradient_scale);
  update.resize(size);
  float *u = update.data(), *m = slot.momentum.take(0, size, room), *w = parameter.value.data();
  const float* grad = parameter.grad.data();
  for (int64_t i = 0; i < size; ++i) {
    m[i] = mu * m[i] + g * grad[i];
    u[i] = g * grad[i] + mu * m[i];
  }
  slot.momentum.put_back(0, size, m);
  orthogonalize(u, parameter.rows, parameter.cols, newton_schulz_, config_.newton_schulz_steps);
  const float keep = float(1 - lr * config_.weight_decay);
  const float rate = float(lr * 0.2 * std::sqrt(double(std::max(parameter.rows, parameter.cols))));
  for (int64_t i = 0; i < size; ++i) w[i] = keep * w[i] - rate * u[i];
}

void Optimizer::for_each_state(const std::function<void(const std::string&, Moments&)>& visit) {
  for (Slot& slot : adamw_) {
    visit(slot.parameter->name + ".exp_avg", slot.exp_avg);
    visit(slot.parameter->name + ".exp_avg_sq", slot.exp_avg_sq);
  }
  for (SparseSlot& slot : sparse_) {
    visit(slot.parameter->name + ".exp_avg", slot.exp_avg);
    visit(slot.parameter->name + ".exp_avg_sq", slot.exp_avg_sq);
    visit(slot.parameter->name + ".row_updates", slot.row_updates);
  }
  for (MuonSlot& slot : muon_) visit(slot.parameter->name + ".momentum_buffer", slot.momentum);
}

void Optimizer::from_json(const Json& json) {
  const bool good = json.is_object() && json.size() == 1 && json.contains("updates") &&
                    json["updates"].is_number_integer() && json["updates"].get<int64_t>() >= 0;
  SH_CHECK(good, kBadInput, "optimizer: its state in the checkpoint is not what was written");
  updates_ = json["updates"].get<int64_t>();
}

}  // namespace shenhong
