// Latent attention of queries after a prompt (infer/latent_attention.h): heads meet the latents as
// they lie in the cache.
#pragma once

#include <span>

#include "infer/latent_attention.h"

namespace shenhong {

// What one thread does at a time: some heads of one query.
int64_t absorbed_items(const Attention& a);
void run_absorbed_item(const Attention& a, int64_t item);

// Whether items are so few that all threads had better work on each.
bool few_items(int64_t items);
// All items of all, each by all threads.
void run_few_items(std::span<const Attention> all);

}  // namespace shenhong
