#include "grounding/span_choice.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace shenhong {
namespace {

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
  std::map<int, bool> allowed;  // whether a spelling that can be meant goes on so
  for (size_t i = 0; i < spellings_->size(); ++i) {
    const std::vector<int>& spelling = (*spellings_)[i];
    if (spelling.size() < tokens_.size() ||
        !std::equal(tokens_.begin(), tokens_.end(), spelling.begin()))
      continue;
    const auto allow = [&](int id) { allowed[id] |= possible_.empty() || possible_[i]; };
    if (spelling.size() > tokens_.size())
      allow(spelling[tokens_.size()]);
    else if (!tokens_.empty())
      std::ranges::for_each(ends_, allow);
  }
  double known = 0, impossible = 0;
  int best = -1;
  for (const auto& [id, possible] : allowed) {
    (possible ? known : impossible) += p[id];
    if (possible && (best < 0 || logits[size_t(id)] > logits[size_t(best)])) best = id;
  }
  const double other = std::max(0.0, 1 - known - impossible);
  free_ |= known < std::max(other, impossible);

  double share = best < 0 ? 0 : p[best] / (known + other);
  if (free_) {
    best = -1;
    for (int id = 0; id < int(logits.size()) && tokens_.size() < kMaxTokens; ++id) {
      const bool fits = (*special_)[size_t(id)] ? !tokens_.empty() && is_end(id) : true;
      if (fits && (best < 0 || logits[size_t(id)] > logits[size_t(best)])) best = id;
    }
    if (best < 0) best = ends_.front();
    share = p[best];
  }
  probability_ *= share;
  if (!is_end(best)) tokens_.push_back(best);
  return best;
}

}  // namespace shenhong
