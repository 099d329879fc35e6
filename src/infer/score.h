// How well the weights that decoding reads predict a text.
#pragma once

#include "infer/decoder.h"
#include "model/model.h"

namespace shenhong {

// Sums over the batch's targets of the main model (depth 0), each row read as a prompt
// of its own, for which `pool` has room.
LossSums score(Decoder& decoder, PagePool& pool, const Batch& batch);

}  // namespace shenhong
