#include "infer/draft_depth.h"

#include <algorithm>
#include <charconv>
#include <numeric>

namespace shenhong {
namespace {

// Of a moving mean: what counts is the last so many.
constexpr int kMemory = 16;
// A step that others interrupted says nothing about steps.
constexpr double kLongest = 2;
// Before anything is known about an answer's drafts: its first few try.
constexpr double kHope = 0.6;
constexpr int kHopeCounts = 2;
// Every so many steps the other thing is done, drafting or not, so that both stay known.
constexpr int kProbe = 32;

void update(double& mean, double seconds) {
  mean = mean == 0 ? seconds : mean + (std::min(seconds, kLongest * mean) - mean) / kMemory;
}

}  // namespace

std::optional<int> drafts_of(std::string_view text) {
  if (text == "off") return 0;
  if (text == "auto") return kAutoDrafts;
  int number = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stopped != end || number < 0 || number > kMostDrafts) return {};
  return number;
}

void DraftCounts::add(int drafted, int right) {
  for (int d = 0; d < drafted; ++d) {
    ++made[size_t(d)];
    accepted[size_t(d)] += d < right;
  }
}

int64_t DraftCounts::all_made() const { return std::accumulate(made.begin(), made.end(), 0l); }
int64_t DraftCounts::all_accepted() const {
  return std::accumulate(accepted.begin(), accepted.end(), 0l);
}

void StepCosts::stepped(int rows, double seconds) {
  if (rows >= 1 && rows <= kRows) update(seconds_[size_t(rows)], seconds);
}

void StepCosts::drafted(int sequences, double seconds) { update(draft_, seconds / sequences); }

std::optional<double> StepCosts::of(int rows) const {
  if (rows > kRows) return {};
  int below = rows, above = rows;
  while (below > 0 && seconds_[size_t(below)] == 0) --below;
  while (above <= kRows && seconds_[size_t(above)] == 0) ++above;
  if (below == 0) return {};
  const double low = seconds_[size_t(below)];
  if (above > kRows || above == below) return low;
  return low + (seconds_[size_t(above)] - low) * (rows - below) / (above - below);
}

int DraftDepth::choose(const StepCosts& costs, int rows, int most) {
  if (wanted_ != kAutoDrafts) return std::min(wanted_, most);
  const std::optional<double> plain = costs.of(rows);
  most = std::min(most, kMostAutoDrafts);
  if (!plain || most <= 0) return 0;
  int best = 0;
  double least = *plain / rows;  // seconds per token of all that are in the step
  double together = 1, right = 0, hope = kHope;
  for (int depth = 1; depth <= most; ++depth) {
    if (tried_[size_t(depth) - 1] > 0) hope = rate_[size_t(depth) - 1];
    together *= hope;
    right += together;
    const std::optional<double> step = costs.of(rows + depth);
    if (!step) break;
    const double seconds = (*step + depth * costs.of_draft()) / (rows + right);
    if (seconds < least) best = depth, least = seconds;
  }
  if (++steps_ % kProbe == 0) return best == 0 ? 1 : 0;
  return best;
}

void DraftDepth::learn(int drafted, int right) {
  for (int d = 0; d < drafted && d <= right; ++d) {
    double& rate = rate_[size_t(d)];
    int& tried = tried_[size_t(d)];
    if (tried == 0) rate = kHope;
    rate += ((d < right) - rate) / std::min(++tried + kHopeCounts, kMemory);
  }
}

}  // namespace shenhong
