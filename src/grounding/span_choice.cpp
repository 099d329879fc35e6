#include "grounding/span_choice.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace shenhong {
namespace {

// Below this share of the model's probability the known spellings are not what it means.
constexpr double kTrust = 0.5;
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
  std::set<int> allowed;
  for (const std::vector<int>& spelling : *spellings_) {
    if (spelling.size() < tokens_.size() ||
        !std::equal(tokens_.begin(), tokens_.end(), spelling.begin()))
      continue;
    if (spelling.size() > tokens_.size())
      allowed.insert(spelling[tokens_.size()]);
    else if (!tokens_.empty())
      allowed.insert(ends_.begin(), ends_.end());
  }
  double known = 0;
  for (const int id : allowed) known += p[id];
  free_ |= known < kTrust;

  int best = -1;
  if (!free_) {
    best = *std::ranges::max_element(allowed, {}, [&](int id) { return logits[size_t(id)]; });
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
