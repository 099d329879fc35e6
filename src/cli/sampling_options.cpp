#include "cli/sampling_options.h"

#include <algorithm>

namespace shenhong {

void SamplingOptions::add_to(CLI::App& verb) {
  SamplingConfig defaults;
  defaults.fields([&](const char* name, auto& value, const char* help) {
    using Value = std::remove_cvref_t<decltype(value)>;
    std::string flag = name;
    std::replace(flag.begin(), flag.end(), '_', '-');
    verb.add_option_function<Value>(
            "--" + flag, [this, name](const Value& given) { given_[name] = given; }, help)
        ->group("Sampling");
  });
}

SamplingConfig SamplingOptions::resolve(const SamplingConfig& defaults) const {
  SamplingConfig config = defaults;
  fields_from_json(config, given_, "flags");
  if (!fixes_seed()) config.seed = random_seed();
  config.validate("flags");
  return config;
}

}  // namespace shenhong
