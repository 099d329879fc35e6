#include "kernels/cache_rows.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <vector>

#include "core/floats.h"
#include "kernels/tables.h"

namespace shenhong {
namespace {

constexpr CacheFormat kFormats[] = {CacheFormat::kF32, CacheFormat::kF16, CacheFormat::kInt8};

// Widths of published models, of tests, without one of the parts, and around blocks and vectors.
std::vector<CacheRow> rows_of(CacheFormat format) {
  std::vector<CacheRow> out;
  for (const auto& [coded, exact] : std::vector<std::pair<int, int>>{
           {512, 64}, {64, 16}, {37, 6}, {20, 8}, {32, 0}, {0, 60}, {31, 1}, {33, 3}, {1, 0}})
    out.push_back({format, coded, exact});
  return out;
}

struct Written {
  Written(const Kernels<float>& table, const CacheRow& row, const Buffer<float>& x, int count)
      : bytes(row.bytes() * count) {
    bytes.zero();
    for (int r = 0; r < count; ++r)
      table.write_cache_row(row, x.data() + int64_t(r) * row.size(),
                            bytes.data() + r * row.bytes());
  }
  Buffer<float> read(const Kernels<float>& table, const CacheRow& row, int count, int begin,
                     int end) const {
    Buffer<float> out(int64_t(count) * (end - begin));
    table.read_cache_rows(row, bytes.data(), count, begin, end, out.data());
    return out;
  }
  Buffer<uint8_t> bytes;
};

template <class T>
bool same_bits(const Buffer<T>& x, const Buffer<T>& y) {
  return x.size() == y.size() && (x.size() == 0 || std::memcmp(x.data(), y.data(), x.bytes()) == 0);
}

class CacheRows : public EveryTable {};

TEST_P(CacheRows, are_the_same_bits_in_every_table) {
  constexpr int kCount = 5;
  for (const CacheFormat format : kFormats)
    for (const CacheRow& row : rows_of(format)) {
      EXPECT_EQ(row.bytes() % 4, 0);
      for (const float scale : {1.0f, 1e-30f, 1e-4f, 3e4f}) {
        const Buffer<float> x = Random(7).normal(int64_t(kCount) * row.size(), scale);
        const Written wanted(scalar_kernels<float>(), row, x, kCount), got(table(), row, x, kCount);
        ASSERT_TRUE(same_bits(got.bytes, wanted.bytes))
            << cache_format_name(format) << " " << row.coded << " " << scale;
        for (int begin = 0; begin <= row.size(); begin += 32)
          for (const int end : {begin, std::min(begin + 32, row.size()), row.size()})
            EXPECT_TRUE(same_bits(got.read(table(), row, kCount, begin, end),
                                  wanted.read(scalar_kernels<float>(), row, kCount, begin, end)))
                << cache_format_name(format) << " " << row.coded << " " << begin << " " << end;
      }
    }
}

TEST_P(CacheRows, are_read_as_the_format_says) {
  for (const CacheFormat format : kFormats)
    for (const CacheRow& row : rows_of(format)) {
      const Buffer<float> x = Random(8).normal(row.size());
      const Buffer<float> got = Written(table(), row, x, 1).read(table(), row, 1, 0, row.size());
      for (int i = 0; i < row.size(); ++i) {
        if (format == CacheFormat::kF16) {
          EXPECT_EQ(got[i], f16_to_float(float_to_f16(x[i])));
        } else if (format == CacheFormat::kF32 || i >= row.coded) {
          EXPECT_EQ(got[i], x[i]) << "exact";
        } else {
          const int begin = i / 32 * 32, end = std::min(begin + 32, row.coded);
          float most = 0;
          for (int j = begin; j < end; ++j) most = std::max(most, std::abs(x[j]));
          EXPECT_LE(std::abs(got[i] - x[i]), most / 127 * 0.5001f);
          if (std::abs(x[i]) == most) {
            EXPECT_NEAR(got[i], x[i], 1e-6 * most);
          }
        }
      }
    }
}

// What is not a number must not become one, or a broken model would go on talking.
TEST_P(CacheRows, do_not_hide_what_is_not_finite) {
  for (const CacheFormat format : kFormats)
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
      for (const CacheRow row : {CacheRow{format, 64, 8}, CacheRow{format, 20, 8}})
        for (const int at : {0, 3, 17, row.coded - 1, row.coded + 2}) {
          Buffer<float> x = Random(9).normal(row.size());
          x[at] = bad;
          const Buffer<float> got =
              Written(table(), row, x, 1).read(table(), row, 1, 0, row.size());
          EXPECT_FALSE(std::isfinite(got[at])) << cache_format_name(format) << " " << at;
          EXPECT_TRUE(std::isfinite(got[(at + 40) % row.size()]) || row.coded < 32);
        }
}

TEST_P(CacheRows, of_zeros_and_of_the_smallest_numbers_are_finite) {
  for (const CacheFormat format : kFormats)
    for (const float value : {0.0f, -0.0f, 1e-45f, 1e-38f}) {
      const CacheRow row{format, 64, 8};
      Buffer<float> x(row.size());
      std::fill(x.begin(), x.end(), value);
      for (const float v : Written(table(), row, x, 1).read(table(), row, 1, 0, row.size()))
        EXPECT_LE(std::abs(v), 1.1e-38f);
    }
}

INSTANTIATE_TEST_SUITE_P(Tables, CacheRows, every_table(), table_name);

TEST(CacheFormat, has_a_name_that_is_found_again) {
  for (const CacheFormat format : kFormats)
    EXPECT_EQ(cache_format_named(cache_format_name(format)), format);
  EXPECT_FALSE(cache_format_named("fp8"));
  EXPECT_FALSE(cache_format_named(""));
}

// What a token of DeepSeek-V3 takes in one layer.
TEST(CacheFormat, takes_the_bytes_that_are_documented) {
  EXPECT_EQ((CacheRow{CacheFormat::kF32, 512, 64}.bytes()), 2304);
  EXPECT_EQ((CacheRow{CacheFormat::kF16, 512, 64}.bytes()), 1152);
  EXPECT_EQ((CacheRow{CacheFormat::kInt8, 512, 64}.bytes()), 512 + 4 * 16 + 4 * 64);
}

}  // namespace
}  // namespace shenhong
