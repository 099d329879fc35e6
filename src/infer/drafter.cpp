#include "infer/drafter.h"

#include <algorithm>

#include "core/error.h"
#include "core/parallel.h"
#include "infer/norm_rows.h"
#include "kernels/kernels.h"

namespace shenhong {
namespace {

constexpr int kPairRows = 16;  // per work item
constexpr int kUnseen = 1;     // place 0

}  // namespace

Drafter::Drafter(const Weights& weights)
    : weights_(weights), attention_(weights.config()), feed_forward_(weights.config()) {
  SH_ASSERT(weights.mtp.has_value());
}

void Drafter::begin(std::span<const CachedRows> all) {
  const MtpWeights& mtp = *weights_.mtp;
  const int D = weights_.config().hidden_size;
  const float eps = float(weights_.config().rms_norm_eps);
  int C = 0;
  for (const CachedRows& rows : all) C += rows.count;
  pair_.resize(int64_t(C) * 2 * D);
  x_.resize(int64_t(C) * D);
  normed_.resize(int64_t(C) * D);
  float* pair = pair_.data();
  for (const CachedRows& rows : all) {
    const auto run = [&](int64_t first, int64_t end) {
      for (int64_t i = first; i < end; ++i) {
        const int place = rows.begin + int(i);
        float *e = pair + i * 2 * D, *h = e + D, rstd;
        weights_.embed(rows.sequence->tokens_and_drafts()[size_t(place)], e);
        kernels<float>().rmsnorm(e, mtp.enorm.data(), e, &rstd, 1, D, eps);
        kernels<float>().rmsnorm(rows.sequence->stream(place - 1), mtp.hnorm.data(), h, &rstd, 1, D,
                                 eps);
      }
    };
    if (rows.count <= kPairRows) {
      run(0, rows.count);
    } else {
      parallel_ranges(rows.count, kPairRows, run);
    }
    pair += int64_t(rows.count) * 2 * D;
  }
  pair_in_.set(pair_.data(), C, 2 * D);
  const PanelProduct product = pair_in_.times(mtp.eh_proj, x_.data(), Write::kReplace);
  run_products({&product, 1});
  norm_rows(x_.data(), mtp.layer.input_layernorm, normed_.data(), C, eps);
}

void Drafter::read_prompts(std::span<const Segment> segments) {
  earlier_.clear();
  for (const Segment& s : segments) {
    const int begin = std::max(s.sequence->read(), kUnseen);
    const int end = std::min(s.sequence->read() + s.count, s.sequence->prompt_tokens());
    if (begin < end) earlier_.push_back({s.sequence, begin, end - begin, kUnseen});
  }
  if (earlier_.empty()) return;
  begin(earlier_);
  attention_.keep(weights_.mtp->layer.self_attn, weights_.rope(), normed_.data(), earlier_,
                  weights_.config().num_hidden_layers);
}

std::span<const float> Drafter::forward(std::span<Sequence* const> sequences) {
  const ModelConfig& config = weights_.config();
  const MtpWeights& mtp = *weights_.mtp;
  const int D = config.hidden_size, V = config.vocab_size, C = int(sequences.size());
  const int layer = config.num_hidden_layers;  // of the pages
  earlier_.clear();
  last_.clear();
  for (Sequence* s : sequences) {
    SH_ASSERT(s->read() == s->size() - 1 && s->read() >= s->prompt_tokens());
    const int place = int(s->tokens_and_drafts().size()) - 1;
    const int unread = std::max(s->module_read(), kUnseen);
    if (s->drafts() == 0 && unread < place)
      earlier_.push_back({s, unread, place - unread, kUnseen});
    last_.push_back({s, place, 1, kUnseen});
  }
  if (!earlier_.empty()) {
    begin(earlier_);
    attention_.keep(mtp.layer.self_attn, weights_.rope(), normed_.data(), earlier_, layer);
  }
  begin(last_);
  attention_.forward(mtp.layer.self_attn, weights_.rope(), normed_.data(), x_.data(), last_, layer);
  norm_rows(x_.data(), mtp.layer.post_attention_layernorm, normed_.data(), C, config.rms_norm_eps);
  feed_forward_.forward(mtp.layer, normed_.data(), x_.data(), C);

  for (int i = 0; i < C; ++i) {
    const CachedRows& row = last_[size_t(i)];
    std::copy_n(x_.data() + int64_t(i) * D, D, row.sequence->stream(row.begin));
    if (sequences[size_t(i)]->drafts() == 0) sequences[size_t(i)]->advance_module();
  }
  norm_rows(x_.data(), mtp.norm, normed_.data(), C, config.rms_norm_eps);
  logits_.resize(int64_t(C) * V);
  head_in_.set(normed_.data(), C, D);
  const WeightPanels& head = mtp.head.rows() > 0 ? mtp.head : weights_.head;
  const PanelProduct product = head_in_.times(head, logits_.data(), Write::kReplace);
  run_products({&product, 1});
  return logits_.span();
}

}  // namespace shenhong
