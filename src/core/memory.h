// How much memory this process could still take.
#pragma once

#include <cstdint>

namespace shenhong {

// The least of what the machine has available and what the control group allows; 0 when neither can
// be told.
int64_t available_memory_bytes();

}  // namespace shenhong
