// --cache f32|f16|int8, the same for every verb that reads a model's own cache.
#pragma once

#include <CLI/CLI.hpp>

#include "kernels/cache_rows.h"

namespace shenhong {

// `format` holds what is meant without it, and must outlive the parse.
void add_cache_option(CLI::App& verb, CacheFormat& format);

}  // namespace shenhong
