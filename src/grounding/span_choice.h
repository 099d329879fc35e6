// One span of a look-up, chosen token by token among the spellings that the graph knows: a lazy
// trie. A model that wants something else is not bent to the nearest name: its span becomes free,
// and finds nothing.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace shenhong {

// p[id] of the softmax of logits, without writing all of it.
class Softmax {
 public:
  explicit Softmax(std::span<const float> logits);
  double operator[](int id) const;

 private:
  std::span<const float> logits_;
  double top_, sum_ = 0;
};

class SpanChoice {
 public:
  // `spellings`: token sequences; `ends`: the tokens that may close the span; `possible`: whether
  // a spelling can be meant at all, all when empty. The spellings and `special`, by id, must
  // outlive it.
  SpanChoice(const std::vector<std::vector<int>>& spellings, std::vector<int> ends,
             const std::vector<bool>& special, std::vector<bool> possible = {})
      : spellings_(&spellings),
        ends_(std::move(ends)),
        special_(&special),
        possible_(std::move(possible)) {}

  // The likeliest token that may come next; an end closes the span.
  int next(std::span<const float> logits);

  const std::vector<int>& tokens() const { return tokens_; }  // of the span, without the end
  bool free() const { return free_; }
  // Of all choices so far under the model, what cannot be meant left out.
  double probability() const { return probability_; }

 private:
  bool is_end(int id) const;

  const std::vector<std::vector<int>>* spellings_;
  std::vector<int> ends_;
  const std::vector<bool>* special_;  // by id
  std::vector<bool> possible_;
  std::vector<int> tokens_;
  bool free_ = false;
  double probability_ = 1;
};

}  // namespace shenhong
