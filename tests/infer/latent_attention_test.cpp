#include "infer/latent_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/buffer.h"
#include "core/parallel.h"
#include "core/random.h"

namespace shenhong {
namespace {

Buffer<float> random_buffer(int64_t size, uint64_t stream, double scale = 1) {
  Buffer<float> out(size);
  for (int64_t i = 0; i < size; ++i) out[i] = float(scale * normal(3, stream, uint64_t(i)));
  return out;
}

// The last C of T tokens with random queries and cache, in either form.
struct Case {
  Case(const ModelConfig& config, int C, int T, CacheFormat format = CacheFormat::kF32)
      : a(config),
        pool(one_layer(config), cache_bytes(one_layer(config), T, false, format), false, format) {
    q = random_buffer(int64_t(C + kQueryPadding) * a.H * (a.Dn + a.Dr), 1);
    rows = random_buffer(int64_t(T) * (a.Rkv + a.Dr), 2);
    kv_b = random_buffer(int64_t(a.H) * (a.Dn + a.Dv) * a.Rkv, 3, 1 / std::sqrt(double(a.Rkv)));
    a.C = C;
    a.T = T;
    a.q = q.data();
    a.pool = &pool;
    while (const auto page = pool.take()) pages.insert(pages.begin(), *page);
    a.pages = pages;
    for (int h = 0; h < a.H; ++h) {
      const float* w_uk = kv_b.data() + int64_t(h) * (a.Dn + a.Dv) * a.Rkv;
      Buffer<float> turned(int64_t(a.Rkv) * a.Dn);
      for (int64_t i = 0; i < turned.size(); ++i) turned[i] = w_uk[i % a.Dn * a.Rkv + i / a.Dn];
      const auto panels = [](int outputs, int inputs, const float* w) {
        return WeightPanels(NumberFormat::kF32, outputs, inputs, w);
      };
      heads.push_back({panels(a.Dn, a.Rkv, w_uk), panels(a.Rkv, a.Dn, turned.data()),
                       panels(a.Dv, a.Rkv, w_uk + int64_t(a.Dn) * a.Rkv)});
    }
    a.heads = heads;
  }
  static ModelConfig one_layer(ModelConfig config) {
    config.num_hidden_layers = 1;
    return config;
  }
  Buffer<float> run(AttentionForm form) {
    const int R = a.Rkv + a.Dr;
    for (int t = 0; t < a.T; ++t)
      pool.write(pages[size_t(t / kPageTokens)], 0, t % kPageTokens, rows.data() + int64_t(t) * R);
    Buffer<float> o(int64_t(a.C) * a.H * a.Dv);
    std::fill(o.begin(), o.end(), std::nanf(""));
    a.o = o.data();
    a.form = form;
    attend({&a, 1});
    return o;
  }
  // The rows as the cache holds them.
  void round_rows() {
    const CacheRow& row = pool.row();
    Buffer<uint8_t> bytes(row.bytes());
    for (int t = 0; t < a.T; ++t) {
      float* numbers = rows.data() + int64_t(t) * row.size();
      write_cache_row_scalar(row, numbers, bytes.data());
      read_cache_rows_scalar(row, bytes.data(), 1, 0, row.size(), numbers);
    }
  }
  Attention a;
  PagePool pool;
  std::vector<int> pages;
  Buffer<float> q, rows, kv_b;  // kv_b [H·(Dn+Dv), Rkv]: per head W_UK, then W_UV
  std::vector<HeadWeights> heads;
};

// Techniques 2.1, written out in double.
Buffer<double> definition(const Case& c) {
  const Attention& a = c.a;
  const int R = a.Rkv + a.Dr, Dqk = a.Dn + a.Dr;
  Buffer<double> o(int64_t(a.C) * a.H * a.Dv);
  o.zero();
  for (int i = 0; i < a.C; ++i)
    for (int h = 0; h < a.H; ++h) {
      const float* q = a.q + (int64_t(i) * a.H + h) * Dqk;
      const float* w = c.kv_b.data() + int64_t(h) * (a.Dn + a.Dv) * a.Rkv;
      const auto expand = [&](int row, int t) {
        double sum = 0;
        for (int r = 0; r < a.Rkv; ++r)
          sum += double(w[row * a.Rkv + r]) * double(c.rows[int64_t(t) * R + r]);
        return sum;
      };
      const int seen = a.T - a.C + i + 1;
      std::vector<double> p(static_cast<size_t>(seen));
      double sum = 0;
      for (int t = 0; t < seen; ++t) {
        double score = 0;
        for (int d = 0; d < a.Dn; ++d) score += double(q[d]) * expand(d, t);
        for (int d = 0; d < a.Dr; ++d)
          score += double(q[a.Dn + d]) * double(c.rows[int64_t(t) * R + a.Rkv + d]);
        sum += p[size_t(t)] = std::exp(double(a.scale) * score);
      }
      for (int t = 0; t < seen; ++t)
        for (int d = 0; d < a.Dv; ++d)
          o[(int64_t(i) * a.H + h) * a.Dv + d] += p[size_t(t)] / sum * expand(a.Dn + d, t);
    }
  return o;
}

template <class A, class B>
double relative_gap(const A& x, const B& y) {
  double gap = 0, top = 0;
  for (int64_t i = 0; i < x.size(); ++i) {
    gap =
        std::max(gap, std::isnan(double(x[i])) ? INFINITY : std::abs(double(x[i]) - double(y[i])));
    top = std::max(top, std::abs(double(y[i])));
  }
  return gap / top;
}

ModelConfig odd_config() {
  ModelConfig c;
  c.num_attention_heads = 5;
  c.kv_lora_rank = 37;
  c.qk_nope_head_dim = 13;
  c.qk_rope_head_dim = 6;
  c.v_head_dim = 11;
  return c;
}

ModelConfig v3_heads() {
  ModelConfig c;
  c.num_attention_heads = 18;  // past a block of heads
  c.kv_lora_rank = 512;
  c.qk_nope_head_dim = 128;
  c.qk_rope_head_dim = 64;
  c.v_head_dim = 128;
  c.rope_scaling.factor = 40;
  return c;
}

constexpr CacheFormat kFormats[] = {CacheFormat::kF32, CacheFormat::kF16, CacheFormat::kInt8};

// Over the numbers that the cache holds; but for these nothing is rounded otherwise.
TEST(AbsorbedAttention, both_forms_are_the_definition) {
  for (const CacheFormat format : kFormats)
    for (const int C : {1, 3, 64, 70}) {
      Case c(odd_config(), C, 70, format);
      c.round_rows();
      const Buffer<double> wanted = definition(c);
      EXPECT_LE(relative_gap(c.run(AttentionForm::kAbsorbed), wanted), 1e-5) << C;
      EXPECT_LE(relative_gap(c.run(AttentionForm::kExpanded), wanted), 1e-5) << C;
    }
}

// Where chunks begin to be of more pages than the least, two queries beside each other are cut
// differently, each as if it were alone.
TEST(AbsorbedAttention, far_back_it_is_the_definition_and_cut_by_the_place_alone) {
  for (const CacheFormat format : kFormats) {
    Case c(odd_config(), 2, 8193, format);
    c.round_rows();
    const Buffer<float> together = c.run(AttentionForm::kAbsorbed);
    EXPECT_LE(relative_gap(together, definition(c)), 1e-5);
    c.a.C = 1;
    c.a.T = 8192;
    const Buffer<float> alone = c.run(AttentionForm::kAbsorbed);
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), together.begin()));
  }
}

// What the formats cost, at published head sizes and a cache of ordinary numbers.
TEST(AbsorbedAttention, a_cache_in_fewer_bits_is_near_the_one_in_floats) {
  for (const auto form : {AttentionForm::kAbsorbed, AttentionForm::kExpanded}) {
    const Buffer<float> wanted = Case(v3_heads(), 4, 200).run(form);
    const auto gap = [&](CacheFormat format) {
      return relative_gap(Case(v3_heads(), 4, 200, format).run(form), wanted);
    };
    EXPECT_LE(gap(CacheFormat::kF16), 2e-3);
    EXPECT_LE(gap(CacheFormat::kInt8), 3e-2);
    EXPECT_GT(gap(CacheFormat::kInt8), gap(CacheFormat::kF16));
  }
}

// A1 of the acceptance table.
TEST(AbsorbedAttention, absorbed_equals_expanded_at_published_head_sizes) {
  for (const int C : {1, 64}) {
    Case c(v3_heads(), C, 64);
    const Buffer<float> absorbed = c.run(AttentionForm::kAbsorbed),
                        expanded = c.run(AttentionForm::kExpanded);
    const double gap = relative_gap(absorbed, expanded);
    RecordProperty("gap_" + std::to_string(C), std::to_string(gap));
    EXPECT_LE(gap, 1e-5) << C;
  }
}

TEST(AbsorbedAttention, a_token_sees_nothing_after_it) {
  for (const auto form : {AttentionForm::kAbsorbed, AttentionForm::kExpanded}) {
    Case c(odd_config(), 8, 20);
    const Buffer<float> before = c.run(form);
    const int64_t last = 19 * int64_t(c.a.Rkv + c.a.Dr);
    for (int64_t i = last; i < c.rows.size(); ++i) c.rows[i] += 1;
    const Buffer<float> after = c.run(form);
    const int64_t seven = 7 * int64_t(c.a.H) * c.a.Dv;
    EXPECT_TRUE(std::equal(before.begin(), before.begin() + seven, after.begin()));
    EXPECT_FALSE(std::equal(before.begin() + seven, before.end(), after.begin() + seven));
  }
}

TEST(AbsorbedAttention, one_thread_and_three_give_the_same_bits) {
  const int threads = thread_count();
  for (const CacheFormat format : kFormats)
    for (const int C : {1, 5})
      for (const auto form : {AttentionForm::kAbsorbed, AttentionForm::kExpanded}) {
        Case c(v3_heads(), C, 300, format);
        set_thread_count(1);
        const Buffer<float> one = c.run(form);
        set_thread_count(3);
        const Buffer<float> three = c.run(form);
        EXPECT_TRUE(std::equal(one.begin(), one.end(), three.begin()));
      }
  set_thread_count(threads);
}

// A query's result depends on nothing but itself and what it sees.
TEST(AbsorbedAttention, alone_and_among_others_a_query_gets_the_same_bits) {
  for (const CacheFormat format : kFormats)
    for (const ModelConfig& config : {odd_config(), v3_heads()}) {
      for (const auto form : {AttentionForm::kAbsorbed, AttentionForm::kExpanded}) {
        Case c(config, 70, 200, format);
        const Buffer<float> together = c.run(form);
        const int64_t width = int64_t(c.a.H) * c.a.Dv;
        const float* q = c.a.q;
        for (const int C : {1, 2, 8, 9, 33}) {
          c.a.C = C;
          for (const int last : {C, 69, 70}) {
            c.a.T = 130 + last;
            c.a.q = q + int64_t(last - C) * c.a.H * (c.a.Dn + c.a.Dr);
            const Buffer<float> alone = c.run(form);
            EXPECT_TRUE(
                std::equal(alone.begin(), alone.end(), together.begin() + (last - C) * width))
                << C << " " << last;
          }
        }
      }
    }
}

}  // namespace
}  // namespace shenhong
