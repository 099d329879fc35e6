// From logits to a token (techniques 8): penalties, cuts, temperature, and a draw whose random
// number depends on the seed and the token's position alone.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/fields.h"

namespace shenhong {

struct SamplingConfig {
  double temperature = 0.8;  // 0: always the most likely token, the lowest id of equals
  int top_k = 40;            // 0: no cut
  double top_p = 0.95;       // 1: no cut
  double min_p = 0.05;       // 0: no cut
  double repetition_penalty = 1;
  double frequency_penalty = 0, presence_penalty = 0;
  int penalty_window = 64;
  std::string order = "llama";
  uint64_t seed = 0;

  template <class Visit>
  void fields(Visit&& v) {
    v("temperature", temperature, "divides the logits; 0 always takes the most likely token");
    v("top_k", top_k, "keep this many most likely tokens; 0 keeps all");
    v("top_p", top_p, "keep the smallest set with at least this probability; 1 keeps all");
    v("min_p", min_p, "keep tokens with at least this share of the best one's probability");
    v("repetition_penalty", repetition_penalty,
      "divides the logit of a token that stands in the window; 1 = off");
    v("frequency_penalty", frequency_penalty,
      "taken off a token's logit once per time that it stands in the answer's window");
    v("presence_penalty", presence_penalty,
      "taken off a token's logit when it stands in the answer's window");
    v("penalty_window", penalty_window,
      "last tokens of prompt and answer that the penalties look at; 0 = all");
    v("order", order,
      "llama: cuts, then temperature (llama.cpp); hf: temperature, then cuts (transformers, vLLM)");
    v("seed", seed, "the same seed and prompt give the same answer");
  }

  // Error(kUsage): `where` (a file, "request"), the field, its value and what is allowed.
  void validate(const std::string& where) const;
};

// A seed that was not asked for: different each time.
uint64_t random_seed();

class Sampler {
 public:
  // `prompt_tokens`: how much of the context is not the answer. Error(kUsage) as
  // SamplingConfig::validate.
  explicit Sampler(const SamplingConfig& config, size_t prompt_tokens = 0);

  // A token that may be drawn.
  struct Candidate {
    int id;
    double logit;
    double probability;
  };

  // The token that follows `context` (prompt and answer so far), none of the `banned`. logits [V].
  // Error(kFailure) when a logit is not a number: the weights are broken.
  int sample(std::span<const float> logits, std::span<const int> context,
             std::span<const int> banned = {});

  // The law that sample() draws from, its probabilities summing to 1. Valid until the next call.
  std::span<const Candidate> law(std::span<const float> logits, std::span<const int> context,
                                 std::span<const int> banned = {});

 private:
  void penalise(std::span<const int> context);
  void gather();
  void cut();
  void keep_top_k();
  void keep_top_p();
  void keep_min_p();
  void divide_by_temperature();

  SamplingConfig config_;
  size_t prompt_tokens_;
  std::vector<float> logits_;              // [V] after the penalties
  std::vector<int> counts_;                // [V] times in the window; zero between calls
  std::vector<float> tops_, sorted_tops_;  // of logits_'s blocks
  std::vector<Candidate> kept_;
};

}  // namespace shenhong
