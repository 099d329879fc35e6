// A directory that is written whole or not at all.
#pragma once

#include <functional>

#include "core/file.h"

namespace shenhong {

// Has `fill` write into a directory of another name, which becomes `out` when that returns; what it
// throws reaches the caller and nothing is left behind. Error(kUsage) when `out` is there already.
void write_new_directory(const fs::path& out, const std::function<void(const fs::path&)>& fill);

}  // namespace shenhong
