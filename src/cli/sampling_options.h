// The sampling flags of `generate` and `chat`: one per field of SamplingConfig. A flag overrides
// what the model directory's generation_config.json says.
#pragma once

#include <CLI/CLI.hpp>

#include "core/json.h"
#include "infer/sampler.h"

namespace shenhong {

class SamplingOptions {
 public:
  void add_to(CLI::App& verb);
  // `defaults` with the flags that were given; without --seed, a fresh one.
  // Error(kUsage) names the flag that is out of range.
  SamplingConfig resolve(const SamplingConfig& defaults) const;
  bool fixes_seed() const { return given_.contains("seed"); }

 private:
  Json given_ = Json::object();
};

}  // namespace shenhong
