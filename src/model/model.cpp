#include "model/model.h"

#include <algorithm>
#include <limits>

#include "core/parallel.h"
#include "core/random.h"
#include "kernels/quantized_matrix.h"
#include "model/linear.h"
#include "model/rmsnorm.h"
#include "model/step_times.h"

namespace shenhong {
namespace {

// Positions whose logits exist at one time: enough for full-speed products, small enough that they
// stay in the cache at our vocabularies.
constexpr int kLossRows = 512;

}  // namespace

template <class Real>
Model<Real>::Model(const ModelConfig& config)
    : embed_tokens(Parameter<Real>::matrix("model.embed_tokens.weight", config.vocab_size,
                                           config.hidden_size)),
      norm(Parameter<Real>::vector("model.norm.weight", config.hidden_size)),
      config_(config),
      rope_(config) {
  config.validate("model");
  SH_CHECK(!config.grouped_query.on(), kUsage,
           "num_key_value_heads = {}: a model with grouped-query attention (Llama's form) answers, "
           "but is not trained here",
           config.grouped_query.num_key_value_heads);
  memories.resize(config.num_hidden_layers);
  for (int l = 0; l < config.num_hidden_layers; ++l)
    layers.emplace_back(config, l, config.is_moe(l));
  for (const int l : config.ngram_memory.layers) memories[l].emplace(config, l);
  if (!config.tie_word_embeddings)
    lm_head = Parameter<Real>::matrix("lm_head.weight", config.vocab_size, config.hidden_size);
  for (int p = 1; p <= config.num_nextn_predict_layers; ++p)
    mtp.emplace_back(config, config.num_hidden_layers + p - 1);
}

namespace {

template <class Self, class Visit>
void visit_parameters(Self& self, Visit&& visit) {
  visit(self.embed_tokens);
  for (auto& block : self.layers)
    std::remove_cvref_t<decltype(block)>::for_each_parameter(block, visit);
  for (auto& memory : self.memories)
    if (memory) std::remove_cvref_t<decltype(*memory)>::for_each_parameter(*memory, visit);
  visit(self.norm);
  if (!self.config().tie_word_embeddings) visit(self.lm_head);
  for (auto& module : self.mtp)
    std::remove_cvref_t<decltype(module)>::for_each_parameter(module, visit);
}

bool is_router_bias(const std::string& name) { return name.ends_with("e_score_correction_bias"); }

}  // namespace

template <class Real>
void Model<Real>::for_each_parameter(const std::function<void(Parameter<Real>&)>& visit) {
  visit_parameters(*this, visit);
}

template <class Real>
void Model<Real>::for_each_parameter(
    const std::function<void(const Parameter<Real>&)>& visit) const {
  visit_parameters(*this, visit);
}

template <class Real>
int64_t Model<Real>::parameter_count() const {
  int64_t count = 0;
  for_each_parameter([&](const Parameter<Real>& p) { count += p.size(); });
  return count;
}

template <class Real>
void Model<Real>::initialize(uint64_t seed) {
  for_each_parameter([&](Parameter<Real>& p) {
    if (is_router_bias(p.name)) {
      std::fill(p.value.begin(), p.value.end(), Real(Router<Real>::initial_bias(config_)));
    } else if (p.is_vector) {
      std::fill(p.value.begin(), p.value.end(), Real(1));
    } else {
      const uint64_t stream = fnv1a(p.name);
      parallel_ranges(p.size(), 1 << 15, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          p.value[i] = Real(config_.initializer_range * normal(seed, stream, uint64_t(i)));
      });
    }
  });
}

template <class Real>
void Model<Real>::set_precision(Precision precision, uint64_t seed) {
  const bool tied = config_.tie_word_embeddings;
  arithmetics_ = std::make_unique<Arithmetics>(precision, config_.num_hidden_layers, tied, seed);
  for_each_parameter([&](Parameter<Real>& p) {
    p.arithmetic = p.is_vector ? nullptr : arithmetics_->of(p.name);
    SH_ASSERT(!p.arithmetic || (std::is_same_v<Real, float>));
    SH_CHECK(!p.arithmetic || fits_blocks(p.arithmetic->as_stored, p.cols), kUsage,
             "precision: '{}' has rows of {}; mix wants a multiple of {}", p.name, p.cols,
             kInt8Block);
  });
}

template <class Real>
void Model<Real>::set_pass(uint64_t pass) {
  if (arithmetics_) arithmetics_->set_pass(pass);
}

template <class Real>
void Model<Real>::allocate_gradients() {
  for_each_parameter([](Parameter<Real>& p) { p.grad.resize_zero(p.size()); });
}

template <class Real>
void Model<Real>::zero_gradients() {
  const Timed timed(Part::kOptimizer);
  for_each_parameter([](Parameter<Real>& p) { p.zero_gradient(); });
}

template <class Real>
void Model<Real>::embed(const Batch& batch, int shift, Real* out) const {
  const Timed timed(Part::kEmbedding);
  const int D = config_.hidden_size, T = batch.T, row = T + config_.num_nextn_predict_layers;
  for (int64_t n = 0; n < int64_t(batch.B) * T; ++n) {
    const int token = batch.tokens[n / T * row + n % T + shift];
    weight_row(embed_tokens, token, out + n * D);
  }
}

template <class Real>
void Model<Real>::embed_backward(const Batch& batch, int shift, const Buffer<Real>& dx) {
  const Timed timed(Part::kEmbedding);
  const int D = config_.hidden_size, T = batch.T, row = T + config_.num_nextn_predict_layers;
  for (int64_t n = 0; n < int64_t(batch.B) * T; ++n) {
    const int token = batch.tokens[n / T * row + n % T + shift];
    kernels<Real>().axpy(Real(1), dx.data() + n * D, embed_tokens.dw() + int64_t(token) * D, D);
  }
}

template <class Real>
void Model<Real>::check(const Batch& batch) const {
  const int row = batch.T + config_.num_nextn_predict_layers;
  SH_ASSERT(batch.B > 0 && batch.T > 0 && batch.T <= config_.max_position_embeddings);
  SH_ASSERT(int64_t(batch.tokens.size()) == int64_t(batch.B) * row &&
            batch.targets.size() == batch.tokens.size());
  for (const int token : batch.tokens) SH_ASSERT(token >= 0 && token < config_.vocab_size);
  for (const int target : batch.targets)
    SH_ASSERT(target >= Batch::kIgnore && target < config_.vocab_size);
}

// Fills x_[0..L], the streams between the blocks, and h_[1..P], the modules' outputs (h_[0] is
// x_[L]).
template <class Real>
void Model<Real>::forward(const Batch& batch) {
  check(batch);
  const int B = batch.B, T = batch.T, L = config_.num_hidden_layers,
            P = config_.num_nextn_predict_layers;
  const int N = B * T, D = config_.hidden_size;
  x_.resize(L + 1);
  Real* x = x_[0].room(N, D);
  embed(batch, 0, x);
  for (int l = 0; l < L; ++l) {
    Real* next = x_[l + 1].room(N, D);
    if (memories[l]) memories[l]->forward(batch.tokens.data(), T + P, x, B, T);
    layers[l].forward(x, next, B, T, rope_);
    x_[l].keep(kept_stream_of(layers[l]));
    x = next;
  }
  embedding_.resize(P);
  h_.resize(P);
  for (int p = 1; p <= P; ++p) {
    Real *embedding = embedding_[p - 1].room(N, D), *next = h_[p - 1].room(N, D);
    embed(batch, p, embedding);
    mtp[p - 1].forward(x, embedding, next, B, T, rope_);
    embedding_[p - 1].keep(kept_stream_of(mtp[p - 1].block));
    x = next;
  }
  count_activations();
}

template <class Real>
void Model<Real>::count_activations() {
  activation_bytes_ = {};
  for (const auto* streams : {&x_, &embedding_, &h_})
    for (const auto& stream : *streams) activation_bytes_(stream);
  for (const auto& block : layers) block.saved.for_each(activation_bytes_);
  for (const auto& memory : memories)
    if (memory) memory->saved.for_each(activation_bytes_);
  for (const auto& module : mtp) {
    module.saved.for_each(activation_bytes_);
    module.block.saved.for_each(activation_bytes_);
  }
}

template <class Real>
LossSums Model<Real>::evaluate(const Batch& batch) {
  forward(batch);
  LossSums sums;
  for (int p = 0; p <= config_.num_nextn_predict_layers; ++p) score(batch, p, 0, nullptr, sums);
  return sums;
}

template <class Real>
LossSums Model<Real>::forward_backward(const Batch& batch, double main_weight, double mtp_weight) {
  forward(batch);
  const int P = config_.num_nextn_predict_layers;
  const int64_t size = int64_t(batch.B) * batch.T * config_.hidden_size;
  std::vector<Buffer<Real>> dh(P + 1);
  LossSums sums;
  for (int p = 0; p <= P; ++p) {
    dh[p].resize_zero(size);
    score(batch, p, p == 0 ? main_weight : mtp_weight, dh[p].data(), sums);
  }
  const Timed timed(Part::kOther, Pass::kBackward);
  modules_backward(batch, dh);
  for (int l = config_.num_hidden_layers - 1; l >= 0; --l) {
    layers[l].backward(x_[l].numbers(), dh[0].data(), batch.B, batch.T, rope_);
    x_[l].drop();
    if (memories[l]) memories[l]->backward(dh[0].data(), batch.B * batch.T);
  }
  embed_backward(batch, 0, dh[0]);
  return sums;
}

template <class Real>
LossSums Model<Real>::forward_backward_modules(const Batch& batch, double mtp_weight) {
  forward(batch);
  const int P = config_.num_nextn_predict_layers;
  const int64_t size = int64_t(batch.B) * batch.T * config_.hidden_size;
  std::vector<Buffer<Real>> dh(P + 1);
  LossSums sums;
  dh[0].resize_zero(size);
  score(batch, 0, 0, nullptr, sums);
  for (int p = 1; p <= P; ++p) {
    dh[p].resize_zero(size);
    score(batch, p, mtp_weight, dh[p].data(), sums);
  }
  const Timed timed(Part::kOther, Pass::kBackward);
  modules_backward(batch, dh);
  return sums;
}

template <class Real>
void Model<Real>::modules_backward(const Batch& batch, std::vector<Buffer<Real>>& dh) {
  Buffer<Real> dembedding;
  for (int p = config_.num_nextn_predict_layers; p >= 1; --p) {
    dembedding.resize_zero(dh[p].size());
    mtp[p - 1].backward(dh[p].data(), stream(p - 1).numbers(), embedding_[p - 1].numbers(),
                        dh[p - 1].data(), dembedding.data(), batch.B, batch.T, rope_);
    embedding_[p - 1].drop();
    embed_backward(batch, p, dembedding);
  }
}

template <class Real>
void Model<Real>::score(const Batch& batch, int depth, double weight, Real* dh, LossSums& sums) {
  const Timed timed(Part::kHead);
  const int N = batch.B * batch.T, D = config_.hidden_size, V = config_.vocab_size, T = batch.T;
  const int row = T + config_.num_nextn_predict_layers;
  Parameter<Real>& gain = depth == 0 ? norm : mtp[depth - 1].shared_head_norm;
  Parameter<Real>& head_weight = config_.tie_word_embeddings ? embed_tokens : lm_head;
  const Real* h = stream(depth).numbers();
  Buffer<Real> normed(int64_t(N) * D), dnormed, rstd;
  rmsnorm(h, gain, normed.data(), rstd, N, config_.rms_norm_eps);
  if (dh) dnormed.resize(int64_t(N) * D);

  logits_.resize(int64_t(std::min(N, kLossRows)) * V);
  std::vector<double> nats(N, 0.0);
  for (int begin = 0; begin < N; begin += kLossRows) {
    const int rows = std::min(kLossRows, N - begin);
    const Real* normed_rows = normed.data() + int64_t(begin) * D;
    linear(normed_rows, head_weight, logits_.data(), rows, Write::kReplace);
    parallel_ranges(rows, 8, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) {
        const int64_t n = begin + r;
        const size_t place = size_t(n / T * row + n % T + depth);
        const int target = batch.targets[place];
        const Real own_weight = batch.weights.empty() ? Real(1) : Real(batch.weights[place]);
        Real* logits_row = logits_.data() + r * V;
        if (target == Batch::kIgnore) {
          if (dh) std::fill_n(logits_row, V, Real(0));
          continue;
        }
        const Real target_logit = logits_row[target];
        nats[n] = double(kernels<Real>().softmax(logits_row, Real(1), V)) - double(target_logit);
        nats[n] *= double(own_weight);
        if (!dh) continue;
        logits_row[target] -= 1;  // d nats / d logits = softmax - onehot
        const Real scale = Real(weight) * own_weight;
        for (int v = 0; v < V; ++v) logits_row[v] *= scale;
      }
    });
    if (!dh) continue;
    const Timed backward(Part::kHead, Pass::kBackward);
    linear_backward_input(logits_.data(), head_weight, dnormed.data() + int64_t(begin) * D, rows,
                          Write::kReplace);
    linear_backward_weight(logits_.data(), normed_rows, head_weight, rows);
  }
  if (dh) {
    const Timed backward(Part::kHead, Pass::kBackward);
    rmsnorm_backward(dnormed.data(), h, gain, rstd, dh, N);
  }

  double sum = 0;
  int64_t count = 0;
  for (int n = 0; n < N; ++n) {
    sum += nats[n];
    count += batch.targets[n / T * row + n % T + depth] != Batch::kIgnore;
  }
  sums.nats.push_back(sum);
  sums.counts.push_back(count);
}

template <class Real>
void Model<Real>::logits(const Batch& batch, int depth, Buffer<Real>& out) {
  forward(batch);
  const int N = batch.B * batch.T, D = config_.hidden_size, V = config_.vocab_size;
  Buffer<Real> normed(int64_t(N) * D), rstd;
  rmsnorm(stream(depth).numbers(), depth == 0 ? norm : mtp[depth - 1].shared_head_norm,
          normed.data(), rstd, N, config_.rms_norm_eps);
  out.resize(int64_t(N) * V);
  linear(normed.data(), head(), out.data(), N, Write::kReplace);
}

template <class Real>
template <class Visit>
void Model<Real>::for_each_router(Visit&& visit) {
  for (auto& block : layers)
    if (block.moe) visit(*block.moe, block.saved.moe.router);
  for (auto& module : mtp)
    if (module.block.moe) visit(*module.block.moe, module.block.saved.moe.router);
}

template <class Real>
std::vector<RouterStatistics<Real>> Model<Real>::routers() {
  std::vector<RouterStatistics<Real>> out;
  for_each_router([&](Moe<Real>& moe, typename Router<Real>::Saved& saved) {
    out.push_back({&moe.router.bias, &moe.load, &saved.scores, &moe.tokens});
  });
  return out;
}

template <class Real>
void Model<Real>::clear_router_loads() {
  for_each_router([](Moe<Real>& moe, typename Router<Real>::Saved&) {
    std::fill(moe.load.begin(), moe.load.end(), 0);
    moe.tokens = 0;
  });
}

template <class Real>
void Model<Real>::set_balance_loss(const BalanceLoss& loss) {
  for_each_router(
      [&](Moe<Real>& moe, typename Router<Real>::Saved&) { moe.router.balance = loss; });
}

template <class Real>
double Model<Real>::balance_loss() {
  double sum = 0;
  for_each_router([&](Moe<Real>& moe, typename Router<Real>::Saved& saved) {
    sum += moe.router.loss_of(saved, int(saved.count.size()));
  });
  return sum;
}

template class Model<float>;
template class Model<double>;

}  // namespace shenhong
