// A run as one self-contained HTML page: inline SVG, no script, nothing fetched, light and dark.
#pragma once

#include <string>
#include <vector>

#include "core/json.h"

namespace shenhong {

// Draws the lines of a run log, by kind:
//   train       step, loss, mtp_loss, lr, gradient_norm, max_vio, tokens_per_s, share
//   validation  step, source, nats_per_token, bits_per_byte
//   skip        step
// Keys that are missing or no numbers leave gaps; other kinds are passed over.
std::string run_plot_html(const std::vector<Json>& lines, const std::string& title);

}  // namespace shenhong
