// Grouped-query attention (Ainslie et al., 2023) of new tokens of some sequences: projects them all
// at once, writes their rotated keys and their values into their pages, and lets each see its own
// sequence up to itself.
//
//   head h of H meets the keys and values of head h / (H/G) of G:   o_h = Σ softmax(q_h·k) v
//
// A prompt's queries are taken a tile at a time, a head of many tokens; a token after it alone, all
// heads that share keys and values together. The two round differently, and which one a row gets
// depends on where its prompt ended alone, as in infer/latent_attention.
#pragma once

#include <span>
#include <vector>

#include "core/buffer.h"
#include "infer/sequence.h"
#include "infer/weights.h"
#include "kernels/panel_matmul.h"

namespace shenhong {

class GroupedQueryAttention {
 public:
  explicit GroupedQueryAttention(const ModelConfig& config);

  // x [C,D] (normed), the tokens of the segments one after the other -> adds to y [C,D] and writes
  // their rows of `layer`.
  void forward(const GroupedQueryWeights& weights, const Rope<float>& rope, const float* x,
               float* y, std::span<const Segment> segments, int layer);

 private:
  // Queries of one sequence that meet the keys of one head together: `rows` of them, ldq and ldo
  // apart. The first one sees `seen` tokens, each further one `step` more.
  struct Tile {
    const Sequence* sequence;
    int layer, kv_head;
    const float* q;
    float* o;
    int64_t ldq, ldo;
    int rows, seen, step;

    int keys() const { return seen + (rows - 1) * step; }
  };

  // q_ [C, H·Dh] and kv_ [C, 2·G·Dh] of x, neither rotated.
  void project(const GroupedQueryWeights& weights, const float* x, int C);
  // The segment's rows, the first of which is `row`, rotated and in their pages.
  void place(const Segment& segment, int row, const Rope<float>& rope, int layer);
  void add_tiles(const Segment& segment, int row, int layer);
  void run_tiles();
  void attend(const Tile& tile) const;

  int D_, H_, G_, Dh_;
  float scale_;
  Activations x_, o_in_;
  Buffer<float> q_, kv_, o_;  // [C, H·Dh] [C, 2·G·Dh] [C, H·Dh]
  std::vector<Tile> tiles_;
};

}  // namespace shenhong
