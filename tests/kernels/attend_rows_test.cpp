#include "kernels/attend_rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/tables.h"

namespace shenhong {
namespace {

constexpr CacheFormat kFormats[] = {CacheFormat::kF32, CacheFormat::kF16, CacheFormat::kInt8};
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Heads that have met nothing yet, and rows for them to meet.
struct Case {
  Case(const CacheRow& row_as, int with_heads, int with_rows, float q_size = 1)
      : row(row_as),
        heads(with_heads),
        count(with_rows),
        numbers(Random(3).normal(int64_t(count) * row.size())),
        q(Random(4).normal(int64_t(heads) * row.size(), q_size)),
        scale(float(1 / std::sqrt(double(row.size())))) {
    write();
    forget();
  }
  void write() {
    rows.resize(row.bytes() * count);
    for (int t = 0; t < count; ++t)
      write_cache_row_scalar(row, numbers.data() + int64_t(t) * row.size(),
                             rows.data() + t * row.bytes());
  }
  void forget() {
    top.resize(heads);
    sum.resize(heads);
    o.resize(int64_t(heads) * row.coded);
    std::fill(top.begin(), top.end(), -kInfinity);
    sum.zero();
    o.zero();
  }
  // Rows [begin, end)
  void meet(const Kernels<float>& table, int begin, int end) {
    const uint8_t* first = rows.data() + begin * row.bytes();
    table.attend_rows(
        {row, first, first, end - begin, heads, q.data(), scale, top.data(), sum.data(), o.data()});
  }
  void meet(const Kernels<float>& table) { meet(table, 0, count); }

  CacheRow row;
  int heads, count;
  Buffer<float> numbers, q;
  float scale;
  Buffer<uint8_t> rows;
  Buffer<float> top, sum, o;
};

// The mean of all rows' values written out in double, and how far float may be from it: a lane of
// at least four adds up a score, an error of which is one of the logarithm of a weight; then come
// the exponential (2 units) and a chain over the rows.
void expect_mean(const Case& c) {
  const double unit = std::ldexp(1.0, -24);
  const int size = c.row.size(), coded = c.row.coded;
  Buffer<float> wide(int64_t(c.count) * size);
  read_cache_rows_scalar(c.row, c.rows.data(), c.count, 0, size, wide.data());
  for (int h = 0; h < c.heads; ++h) {
    Buffer<double> p(c.count), mean(coded), reach(coded);
    mean.zero();
    reach.zero();
    double sum = 0, error = 0;
    for (int t = 0; t < c.count; ++t) {
      double s = 0, most = 0;
      for (int k = 0; k < size; ++k) {
        const double product = double(c.q[int64_t(h) * size + k]) * wide[int64_t(t) * size + k];
        s += product;
        most += std::abs(product);
      }
      p[t] = std::exp(c.scale * s);
      sum += p[t];
      error = std::max(error, (size / 4 + 10) * unit * c.scale * most);
    }
    for (int t = 0; t < c.count; ++t)
      for (int k = 0; k < coded; ++k) {
        const double part = p[t] / sum * wide[int64_t(t) * size + k];
        mean[k] += part;
        reach[k] += std::abs(part);
      }
    for (int k = 0; k < coded; ++k)
      ASSERT_NEAR(c.o[int64_t(h) * coded + k] / c.sum[h], mean[k],
                  (2 * error + (2 * c.count + 8) * unit) * reach[k])
          << "head " << h << " of " << c.heads << ", number " << k << " of " << coded;
  }
}

std::vector<CacheRow> rows_of(CacheFormat format) {
  std::vector<CacheRow> out;
  for (const auto& [coded, exact] :
       std::vector<std::pair<int, int>>{{512, 64}, {64, 16}, {37, 6}, {20, 8}, {33, 0}, {1, 0}})
    out.push_back({format, coded, exact});
  return out;
}

class AttendRowsOfEveryTable : public EveryTable {};

TEST_P(AttendRowsOfEveryTable, give_the_mean_at_once_and_in_pieces) {
  for (const CacheFormat format : kFormats)
    for (const CacheRow& row : rows_of(format))
      for (const int heads : {1, 2, 3, 5, 8, 18})
        for (const int count : {1, 2, 3, 17, 31, 32}) {
          SCOPED_TRACE(std::string(cache_format_name(format)) + ", rows " + std::to_string(count));
          Case c(row, heads, count, 3);
          c.meet(table());
          ASSERT_NO_FATAL_FAILURE(expect_mean(c));
          c.forget();
          for (int t = 0; t < count; t += 5) c.meet(table(), t, std::min(t + 5, count));
          ASSERT_NO_FATAL_FAILURE(expect_mean(c));
        }
}

// Heads may be met in any company, and a query's are not all met by the same thread.
TEST_P(AttendRowsOfEveryTable, give_a_head_the_same_bits_alone_and_among_others) {
  for (const CacheFormat format : kFormats)
    for (const CacheRow& row : rows_of(format)) {
      Case all(row, 15, 32);
      all.meet(table());
      for (int h = 0; h < all.heads; ++h) {
        Case one(row, 1, 32);
        std::copy_n(all.q.data() + int64_t(h) * row.size(), row.size(), one.q.data());
        one.meet(table());
        EXPECT_EQ(one.top[0], all.top[h]);
        EXPECT_EQ(one.sum[0], all.sum[h]);
        EXPECT_TRUE(std::equal(one.o.begin(), one.o.end(), all.o.data() + int64_t(h) * row.coded))
            << cache_format_name(format) << " " << row.coded << ", head " << h;
      }
    }
}

// Scores of one query 1: c_t[0] itself. What is e^71 times less than the largest must leave no
// trace, subnormal numbers least of all, whether it is met before, with or after it.
TEST_P(AttendRowsOfEveryTable, give_nothing_to_negligible_rows) {
  for (const CacheFormat format : {CacheFormat::kF32, CacheFormat::kF16}) {
    Case c({format, 37, 6}, 3, 32);
    c.scale = 1;
    c.q.zero();
    for (int h = 0; h < c.heads; ++h) c.q[int64_t(h) * c.row.size()] = 1;
    const auto meet_scores = [&](float first, float second, bool pieces) {
      for (int t = 0; t < c.count; ++t)
        c.numbers[int64_t(t) * c.row.size()] = t < 8 ? first : second;
      c.write();
      c.forget();
      if (pieces) {
        c.meet(table(), 0, 8);
        c.meet(table(), 8, 32);
      } else {
        c.meet(table());
      }
      return c.o;
    };
    for (const bool pieces : {false, true}) {
      const Buffer<float> late = meet_scores(-72, 0, pieces);
      c.forget();
      c.meet(table(), 8, 32);
      expect_same_bits(late, c.o);
      EXPECT_EQ(c.sum[0], 24);
      const Buffer<float> early = meet_scores(0, -72, pieces);
      c.forget();
      c.meet(table(), 0, 8);
      expect_same_bits(early, c.o);
      meet_scores(-60, 0, pieces);
      EXPECT_GT(c.sum[0], 23.99f);
    }
  }
}

// What is not a number must not become one, or a broken model would go on talking.
TEST_P(AttendRowsOfEveryTable, do_not_hide_what_is_not_a_number) {
  for (const CacheFormat format : kFormats)
    for (const int at : {0, 3, 17, 36, 40})
      for (const int t : {0, 5, 16}) {
        Case c({format, 37, 6}, 9, 17);
        c.numbers[int64_t(t) * c.row.size() + at] = std::nanf("");
        c.write();
        c.meet(table());
        for (int h = 0; h < c.heads; ++h) EXPECT_TRUE(std::isnan(c.sum[h])) << h;
        for (const float o : c.o) EXPECT_TRUE(std::isnan(o));
      }
}

TEST_P(AttendRowsOfEveryTable, write_nothing_beyond_their_output) {
  for (const int heads : {1, 4, 9}) {
    Case c({CacheFormat::kF16, 37, 6}, heads, 17);
    const int64_t size = c.o.size();
    c.o.resize_zero(size + 32);
    c.meet(table());
    for (int64_t i = size; i < c.o.size(); ++i) EXPECT_EQ(c.o[i], 0);
    EXPECT_NE(c.o[size - 1], 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, AttendRowsOfEveryTable, every_table(), table_name);

}  // namespace
}  // namespace shenhong
