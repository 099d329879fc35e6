#include "infer/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "core/random.h"

namespace shenhong {
namespace {

// Temperatures below this would overflow the division and mean the same as 0.
constexpr double kCold = 1e-5;
constexpr uint64_t kDrawStream = fnv1a("sampler.draw");

// The likelier first; a tie goes to the lower id.
bool is_before(const Sampler::Candidate& a, const Sampler::Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

constexpr size_t kBlock = 64;  // logits that are looked at together

// Of at most kBlock. Lanes of their own, which the compiler takes several at a time.
float largest_of(std::span<const float> x) {
  constexpr size_t kLanes = 16;
  float lanes[kLanes];
  std::fill_n(lanes, kLanes, -std::numeric_limits<float>::infinity());
  size_t i = 0;
  for (; i + kLanes <= x.size(); i += kLanes)
    for (size_t l = 0; l < kLanes; ++l) lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
  for (; i < x.size(); ++i) lanes[0] = std::max(lanes[0], x[i]);
  return *std::max_element(lanes, lanes + kLanes);
}

void check_logits(std::span<const float> logits) {
  float top = -std::numeric_limits<float>::infinity();
  int broken = 0;
  for (size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const auto block = logits.subspan(begin, std::min(kBlock, logits.size() - begin));
    for (const float z : block) broken += z != z;
    top = std::max(top, largest_of(block));
  }
  if (broken > 0) {
    const auto first = std::ranges::find_if(logits, [](float z) { return std::isnan(z); });
    fail(Exit::kFailure, "the logit of token {} is not a number: the model's weights are broken",
         first - logits.begin());
  }
  SH_CHECK(std::isfinite(top), kFailure, "the largest logit is {}: the model's weights are broken",
           top);
}

// Fills the probabilities: the softmax of the kept logits.
void normalise(std::vector<Sampler::Candidate>& kept) {
  double top = kept.front().logit, sum = 0;
  for (const auto& c : kept) top = std::max(top, c.logit);
  for (auto& c : kept) sum += c.probability = std::exp(c.logit - top);
  for (auto& c : kept) c.probability /= sum;
}

}  // namespace

void SamplingConfig::validate(const std::string& where) const {
  const auto within = [&](const char* name, double value, double low, double high) {
    SH_CHECK(value >= low && value <= high, kUsage, "{}: {} = {}: want {} to {}", where, name,
             value, low, high);
  };
  within("temperature", temperature, 0, 100);
  within("top_k", top_k, 0, 1 << 24);
  within("top_p", top_p, 0, 1);
  within("min_p", min_p, 0, 1);
  within("repetition_penalty", repetition_penalty, 0.01, 100);
  within("frequency_penalty", frequency_penalty, -100, 100);
  within("presence_penalty", presence_penalty, -100, 100);
  within("penalty_window", penalty_window, 0, 1 << 24);
  SH_CHECK(order == "llama" || order == "hf", kUsage, "{}: order = '{}': known are llama and hf",
           where, order);
}

uint64_t random_seed() {
  std::random_device device;
  // 53 bits survive a JSON number, so the seed that we report can be given back.
  return ((uint64_t(device()) << 32) | device()) >> 11;
}

Sampler::Sampler(const SamplingConfig& config, size_t prompt_tokens)
    : config_(config), prompt_tokens_(prompt_tokens) {
  config_.validate("sampling");
}

std::span<const Sampler::Candidate> Sampler::law(std::span<const float> logits,
                                                 std::span<const int> context,
                                                 std::span<const int> banned) {
  SH_ASSERT(!logits.empty());
  check_logits(logits);
  logits_.assign(logits.begin(), logits.end());
  penalise(context);
  for (const int id : banned)
    if (size_t(id) < logits_.size()) logits_[size_t(id)] = -std::numeric_limits<float>::infinity();

  gather();
  if (config_.temperature < kCold) {
    kept_.front() = *std::min_element(kept_.begin(), kept_.end(), is_before);
    kept_.resize(1);
  } else if (config_.order == "hf") {
    divide_by_temperature();
    cut();
  } else {
    cut();
    divide_by_temperature();
  }
  normalise(kept_);
  return kept_;
}

int Sampler::sample(std::span<const float> logits, std::span<const int> context,
                    std::span<const int> banned) {
  law(logits, context, banned);
  const double u = uniform(config_.seed, kDrawStream, context.size());
  double sum = 0;
  for (const Candidate& c : kept_) {
    sum += c.probability;
    if (u < sum) return c.id;
  }
  // Rounding left the sum a little below u: the likeliest token is as right as any.
  return std::min_element(kept_.begin(), kept_.end(), is_before)->id;
}

// Repetition as in CTRL (Keskar et al., 2019), once per distinct token of prompt and answer;
// frequency and presence as in OpenAI's interface, of the answer alone: who is greeted with 你好
// may say 你好.
void Sampler::penalise(std::span<const int> context) {
  const size_t window = size_t(config_.penalty_window);
  const size_t begin = window > 0 && context.size() > window ? context.size() - window : 0;
  counts_.resize(logits_.size(), 0);
  const auto each = [&](size_t from, const auto& change) {
    const auto counted = context.subspan(std::min(from, context.size()));
    const auto is_known = [&](int id) { return id >= 0 && size_t(id) < logits_.size(); };
    for (const int id : counted)
      if (is_known(id)) ++counts_[size_t(id)];
    for (const int id : counted) {
      if (!is_known(id) || counts_[size_t(id)] == 0) continue;
      logits_[size_t(id)] = float(change(double(logits_[size_t(id)]), counts_[size_t(id)]));
      counts_[size_t(id)] = 0;
    }
  };
  if (config_.repetition_penalty != 1)
    each(begin, [&](double z, int) {
      return z > 0 ? z / config_.repetition_penalty : z * config_.repetition_penalty;
    });
  if (config_.frequency_penalty != 0 || config_.presence_penalty != 0)
    each(std::max(begin, prompt_tokens_), [&](double z, int times) {
      return z - config_.frequency_penalty * times - config_.presence_penalty;
    });
}

// Candidates: of the vocabulary only those that may be among the top k, which nearly all are far
// from. At least k logits are no less than the k-th largest of the blocks' largest.
void Sampler::gather() {
  const size_t k = config_.temperature < kCold ? 1 : size_t(config_.top_k);
  const auto block_at = [&](size_t begin) {
    return std::span(logits_).subspan(begin, std::min(kBlock, logits_.size() - begin));
  };
  tops_.clear();
  for (size_t begin = 0; begin < logits_.size(); begin += kBlock)
    tops_.push_back(largest_of(block_at(begin)));
  float least = -std::numeric_limits<float>::infinity();
  if (k > 0 && k <= tops_.size()) {
    sorted_tops_ = tops_;
    std::nth_element(sorted_tops_.begin(), sorted_tops_.begin() + ptrdiff_t(k - 1),
                     sorted_tops_.end(), std::greater<>());
    least = sorted_tops_[k - 1];
  }
  kept_.clear();
  for (size_t i = 0; i < tops_.size(); ++i) {
    if (tops_[i] < least) continue;
    const auto block = block_at(i * kBlock);
    for (size_t j = 0; j < block.size(); ++j)
      if (block[j] >= least) kept_.push_back({int(i * kBlock + j), block[j], 0});
  }
}

void Sampler::cut() {
  keep_top_k();
  keep_top_p();
  keep_min_p();
}

void Sampler::keep_top_k() {
  const size_t k = size_t(config_.top_k);
  if (k == 0 || k >= logits_.size()) return;
  std::partial_sort(kept_.begin(), kept_.begin() + ptrdiff_t(k), kept_.end(), is_before);
  kept_.resize(k);
}

// The token that crosses the line is kept, so there is always one.
void Sampler::keep_top_p() {
  if (config_.top_p >= 1) return;
  std::sort(kept_.begin(), kept_.end(), is_before);
  normalise(kept_);
  double sum = 0;
  size_t count = 0;
  while (count < kept_.size() && (count == 0 || sum < config_.top_p))
    sum += kept_[count++].probability;
  kept_.resize(count);
}

void Sampler::keep_min_p() {
  if (config_.min_p <= 0) return;
  // p < min_p · p_top, compared as logits: a vocabulary of exponentials takes as long as a layer.
  const double least =
      std::min_element(kept_.begin(), kept_.end(), is_before)->logit + std::log(config_.min_p);
  std::erase_if(kept_, [&](const Candidate& c) { return c.logit < least; });
}

void Sampler::divide_by_temperature() {
  for (Candidate& c : kept_) c.logit /= config_.temperature;
}

}  // namespace shenhong
