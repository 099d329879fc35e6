// How well the weights that decoding reads predict a text.
#pragma once

#include "infer/decoder.h"
#include "model/model.h"

namespace shenhong {

// Sums over the batch's targets of the main model (depth 0), each row read from an empty cache.
LossSums score(Decoder& decoder, KvCache& cache, const Batch& batch);

}  // namespace shenhong
