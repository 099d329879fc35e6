// How many tokens to draft before a step: as many as make an answer come fastest, by what steps
// cost and by how often its drafts were right (utility as in Cascade, arXiv 2506.20675; techniques
// 5.3). What is drafted never shows in what comes out, so times may decide.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace shenhong {

constexpr int kMostDrafts = 8;   // in one step of one sequence
constexpr int kAutoDrafts = -1;  // in the place of a number: as many as pay, up to kMostAutoDrafts
constexpr int kMostAutoDrafts = 4;

// off, auto or a number up to kMostDrafts, as 0, kAutoDrafts or it.
std::optional<int> drafts_of(std::string_view text);

// What became of the drafts of an answer, by depth: the first after a token stands at 0.
struct DraftCounts {
  std::array<int64_t, kMostDrafts> made = {}, accepted = {};

  void add(int drafted, int right);
  int64_t all_made() const;
  int64_t all_accepted() const;
};

// What decoding costs on this machine, measured as it goes. Steps that read prompts do not count.
class StepCosts {
 public:
  void stepped(int rows, double seconds);
  // One pass of the prediction module.
  void drafted(int sequences, double seconds);

  // Seconds of a step of so many rows. Between numbers that were seen, in proportion; beyond the
  // largest, hopefully as few: that will be tried and seen. Nothing below the smallest.
  std::optional<double> of(int rows) const;
  double of_draft() const { return draft_; }

 private:
  static constexpr int kRows = 64;
  std::array<double, kRows + 1> seconds_ = {};  // by rows; 0: not seen yet
  double draft_ = 0;
};

// One answer's.
class DraftDepth {
 public:
  // `wanted`: a number, or kAutoDrafts.
  explicit DraftDepth(int wanted) : wanted_(wanted) {}

  // Of a sequence in a step where `rows` are decoded without its drafts; at most `most`.
  int choose(const StepCosts& costs, int rows, int most);
  void learn(int drafted, int right);

 private:
  int wanted_;
  int64_t steps_ = 0;
  std::array<double, kMostDrafts> rate_ = {};  // of drafts whose predecessors were right
  std::array<int, kMostDrafts> tried_ = {};
};

}  // namespace shenhong
