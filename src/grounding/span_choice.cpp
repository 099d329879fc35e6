#include "grounding/span_choice.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace shenhong {
namespace {

// Below this share of the model's probability the known spellings are not what it means.
const double kTrust = std::getenv("TRUST") ? std::atof(std::getenv("TRUST")) : 0.5;
constexpr size_t kMaxTokens = 48;

}  // namespace

Softmax::Softmax(std::span<const float> logits)
    : logits_(logits), top_(*std::ranges::max_element(logits)) {
  for (const float logit : logits) sum_ += std::exp(double(logit) - top_);
}

double Softmax::operator[](int id) const {
  return std::exp(double(logits_[size_t(id)]) - top_) / sum_;
}

bool SpanChoice::is_end(int id) const { return std::ranges::find(ends_, id) != ends_.end(); }

int SpanChoice::next(std::span<const float> logits) {
  const Softmax p(logits);
  std::map<int, double> allowed;  // token -> the best prior of what it leads to
  for (const auto& [tokens, prior] : spellings_) {
    if (tokens.size() < tokens_.size() ||
        !std::equal(tokens_.begin(), tokens_.end(), tokens.begin()))
      continue;
    const auto allow = [&](int id) { allowed[id] = std::max(allowed[id], prior); };
    if (tokens.size() > tokens_.size())
      allow(tokens[tokens_.size()]);
    else if (!tokens_.empty())
      std::ranges::for_each(ends_, allow);
  }
  double known = 0;
  for (const auto& [id, prior] : allowed) known += p[id];
  free_ |= known < kTrust;

  int best = -1;
  if (!free_) {
    double best_score = -1;
    for (const auto& [id, prior] : allowed) {
      if (p[id] * prior <= best_score) continue;
      best = id;
      best_score = p[id] * prior;
    }
  } else if (tokens_.size() >= kMaxTokens) {
    best = ends_.front();
  } else {
    for (int id = 0; id < int(logits.size()); ++id) {
      const bool fits = (*special_)[size_t(id)] ? !tokens_.empty() && is_end(id) : true;
      if (fits && (best < 0 || logits[size_t(id)] > logits[size_t(best)])) best = id;
    }
  }
  probability_ *= p[best];
  if (!is_end(best)) tokens_.push_back(best);
  return best;
}

}  // namespace shenhong
