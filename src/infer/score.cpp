#include "infer/score.h"

#include <algorithm>

#include "core/parallel.h"
#include "kernels/kernels.h"

namespace shenhong {
namespace {

constexpr int kChunk = 128;  // positions whose logits exist at once

}  // namespace

LossSums score(Decoder& decoder, PagePool& pool, const Batch& batch) {
  LossSums sums{{0}, {0}};
  const size_t width = batch.tokens.size() / size_t(batch.B);  // T and what prediction modules read
  std::vector<double> nats(kChunk);
  for (int row = 0; row < batch.B; ++row) {
    const auto first = batch.tokens.begin() + ptrdiff_t(size_t(row) * width);
    Sequence sequence(pool, {first, first + batch.T});
    for (int begin = 0; begin < batch.T; begin += kChunk) {
      const int count = std::min(kChunk, batch.T - begin);
      const auto at = size_t(row) * width + size_t(begin);
      const auto logits = decoder.forward(sequence, count, count);
      const int64_t V = int64_t(logits.size()) / count;
      parallel_for(count, [&](int64_t i) {
        const int target = batch.targets[at + size_t(i)];
        nats[size_t(i)] = 0;
        if (target == Batch::kIgnore) return;
        thread_local Buffer<float> p;
        p.resize(V);
        std::copy_n(logits.data() + i * V, V, p.data());
        const double chosen = p[target];
        nats[size_t(i)] = double(kernels<float>().softmax(p.data(), 1, V)) - chosen;
      });
      for (int i = 0; i < count; ++i) {
        sums.nats[0] += nats[size_t(i)];
        sums.counts[0] += batch.targets[at + size_t(i)] != Batch::kIgnore;
      }
    }
  }
  return sums;
}

}  // namespace shenhong
