// The mean of several models' weights. Ends of runs that went apart from one set of weights lie
// around a better one: it generalises like an ensemble of them and costs what one costs (SWA,
// arXiv 1803.05407; model soups, 2203.05482).
#pragma once

#include <vector>

#include "core/file.h"

namespace shenhong {

// Writes `out`, which must not exist: every weight the mean of `models`', at least two, rounded
// once to the type that the first stores it in (f16 becomes f32), and every other file as the first
// has it. Error(kUsage) names what the models do not have in common, config.json or tokenizer.json,
// and weights that are stored in few bits; nothing is left behind.
void average_directories(const std::vector<fs::path>& models, const fs::path& out);

}  // namespace shenhong
