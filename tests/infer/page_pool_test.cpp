#include "infer/page_pool.h"

#include <gtest/gtest.h>

#include <numeric>

#include "core/error.h"
#include "infer/sequence.h"
#include "infer/tiny_models.h"

namespace shenhong {
namespace {

PagePool pool_of(int pages) {
  return PagePool(tiny_config(), cache_bytes(tiny_config(), int64_t(pages) * kPageTokens));
}

std::vector<int> tokens_from(int first, int count) {
  std::vector<int> tokens(static_cast<size_t>(count));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

// Reads all that is pending, without a model.
void read_all(Sequence& sequence) {
  ASSERT_TRUE(sequence.reserve(sequence.pending()));
  sequence.advance(sequence.pending());
}

std::vector<int> pages_of(const Sequence& sequence) {
  return {sequence.pages().begin(), sequence.pages().end()};
}

TEST(PagePool, gives_each_page_once_and_then_none) {
  PagePool pool = pool_of(3);
  EXPECT_EQ(pool.pages(), 3);
  EXPECT_EQ(pool.tokens(), 3 * kPageTokens);
  const int a = *pool.take(), b = *pool.take(), c = *pool.take();
  EXPECT_TRUE(a != b && b != c && a != c);
  EXPECT_FALSE(pool.take());
  pool.release(b);
  EXPECT_EQ(pool.available(), 1);
  EXPECT_EQ(pool.take(), b);
}

// In every format, and with what the module keeps, which is float in all of them.
TEST(PagePool, a_page_s_rows_are_its_own) {
  const ModelConfig config = tiny_config();
  for (const CacheFormat format : {CacheFormat::kF32, CacheFormat::kF16, CacheFormat::kInt8}) {
    PagePool pool(config, cache_bytes(config, 3 * kPageTokens, true, format), true, format);
    ASSERT_EQ(pool.pages(), 3);
    const int size = pool.row().size();
    const auto value = [](int page, int layer, int place) {
      return float(200 * page + 40 * layer + place);  // exact in f16
    };
    const auto each = [&](const auto& run) {
      for (int page = 0; page < 3; ++page)
        for (int layer = 0; layer <= config.num_hidden_layers; ++layer)
          for (int place = 0; place < kPageTokens; ++place) run(page, layer, place);
    };
    each([&](int page, int layer, int place) {
      const std::vector<float> row(size_t(size), value(page, layer, place));
      pool.write(page, layer, place, row.data());
      std::fill_n(pool.stream(page, place), config.hidden_size, value(page, 9, place));
    });
    Buffer<float> scratch;
    each([&](int page, int layer, int place) {
      const FloatRows rows = pool.read(page, layer, place, 1, 0, size, scratch);
      for (int i = 0; i < size; ++i)
        ASSERT_NEAR(rows.data[i], value(page, layer, place), 1e-4)
            << cache_format_name(format) << " " << page << " " << layer << " " << place;
      for (int i = 0; i < config.hidden_size; ++i)
        ASSERT_EQ(pool.stream(page, place)[i], value(page, 9, place));
    });
  }
}

TEST(PagePool, eight_bits_are_refused_where_keys_carry_their_rotation) {
  const ModelConfig config = grouped_query_configs().front().config;
  const auto make = [&](CacheFormat format) {
    PagePool(config, cache_bytes(config, 64, false, format), false, format);
  };
  make(CacheFormat::kF16);
  try {
    make(CacheFormat::kInt8);
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Exit::kUsage);
    EXPECT_NE(std::string(e.what()).find("a cache in int8"), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("f16"), std::string::npos);
  }
}

TEST(PagePool, memory_that_cannot_be_is_refused) {
  EXPECT_THROW(PagePool(tiny_config(), cache_bytes(tiny_config(), 1) - 1), Error);
  EXPECT_THROW(PagePool(tiny_config(), int64_t(1) << 62), Error);
}

TEST(PagePool, counts_what_it_keeps) {
  ModelConfig v3;
  v3.num_hidden_layers = 61;
  v3.num_attention_heads = 128;
  v3.kv_lora_rank = 512;
  v3.qk_rope_head_dim = 64;
  v3.qk_nope_head_dim = v3.v_head_dim = 128;
  EXPECT_EQ(kv_bytes_per_token(v3), 2 * 70'272);
  EXPECT_EQ(kv_bytes_per_token(v3, false, CacheFormat::kF16), 70'272) << "the published figure";
  EXPECT_EQ(kv_bytes_per_token(v3, false, CacheFormat::kInt8), 61 * 832);
  EXPECT_EQ(mha_kv_bytes_per_token(v3, CacheFormat::kF16), mha_kv_bytes_per_token(v3) / 2);
  EXPECT_EQ(mha_kv_bytes_per_token(v3), int64_t(4) * 61 * 128 * (192 + 128));
  EXPECT_EQ(cache_bytes(v3, kPageTokens + 1), 2 * kPageTokens * kv_bytes_per_token(v3));
}

TEST(Sequence, equal_beginnings_share_their_full_pages) {
  PagePool pool = pool_of(10);
  Sequence first(pool, tokens_from(0, 3 * kPageTokens + 5));
  read_all(first);
  EXPECT_EQ(pool.available(), 6);

  Sequence same(pool, tokens_from(0, 2 * kPageTokens + 9));
  same.share();
  EXPECT_EQ(same.read(), 2 * kPageTokens);
  EXPECT_EQ(same.shared(), 2 * kPageTokens);
  read_all(same);
  EXPECT_EQ(pool.available(), 5) << "only its own end is new";
  EXPECT_EQ(same.pages()[1], first.pages()[1]);
  EXPECT_NE(same.pages()[2], first.pages()[2]);

  std::vector<int> other = tokens_from(0, 3 * kPageTokens);
  other[kPageTokens + 3] = 77;
  Sequence differs(pool, other);
  differs.share();
  EXPECT_EQ(differs.read(), kPageTokens) << "what follows a difference is not the same";
  std::rotate(other.begin(), other.begin() + kPageTokens, other.end());
  Sequence moved(pool, other);
  moved.share();
  EXPECT_EQ(moved.read(), 0) << "a page is what it is after what came before";
}

TEST(Sequence, the_last_token_of_a_prompt_is_always_read) {
  PagePool pool = pool_of(10);
  Sequence first(pool, tokens_from(0, 2 * kPageTokens));
  read_all(first);
  Sequence same(pool, tokens_from(0, 2 * kPageTokens));
  same.share();
  EXPECT_EQ(same.read(), kPageTokens);
  Sequence longer(pool, tokens_from(0, 2 * kPageTokens + 1));
  longer.share();
  EXPECT_EQ(longer.read(), 2 * kPageTokens);
}

TEST(Sequence, what_was_decoded_is_not_shared) {
  PagePool pool = pool_of(10);
  Sequence first(pool, tokens_from(0, kPageTokens + 1));
  first.append(tokens_from(kPageTokens + 1, 2 * kPageTokens));
  read_all(first);
  Sequence next(pool, tokens_from(0, 3 * kPageTokens));
  next.share();
  EXPECT_EQ(next.read(), kPageTokens);
}

TEST(Sequence, two_that_read_the_same_at_once_end_up_with_the_same_pages) {
  PagePool pool = pool_of(10);
  Sequence a(pool, tokens_from(0, 2 * kPageTokens)), b(pool, tokens_from(0, 2 * kPageTokens));
  read_all(a);
  read_all(b);
  EXPECT_EQ(pages_of(a), pages_of(b));
  EXPECT_EQ(pool.available(), 8);
}

TEST(Sequence, pages_that_nobody_uses_stay_until_their_memory_is_wanted) {
  PagePool pool = pool_of(4);
  const auto read_and_leave = [&](int first) {
    Sequence s(pool, tokens_from(first, 2 * kPageTokens));
    read_all(s);
  };
  const auto shared = [&](int first) {
    Sequence s(pool, tokens_from(first, 2 * kPageTokens + 1));
    s.share();
    return s.shared();
  };
  read_and_leave(0);
  read_and_leave(1000);
  EXPECT_EQ(pool.available(), 4);
  EXPECT_EQ(shared(0), 2 * kPageTokens);  // used now, so the other has been unused for longer
  Sequence s(pool, tokens_from(2000, kPageTokens));
  read_all(s);
  EXPECT_EQ(shared(0), 2 * kPageTokens);
  EXPECT_EQ(shared(1000), kPageTokens) << "the end of a prompt goes before its beginning";
}

// A follower remembers what it was read after, not in which page that lay.
// Sequences append at the same time, and the pool is for one thread at a time.
TEST(Sequence, drafts_that_were_wrong_leave_the_pool_alone_until_their_page_is_given_back) {
  PagePool pool = pool_of(3);
  Sequence s(pool, tokens_from(0, kPageTokens - 1));
  read_all(s);
  s.append(tokens_from(50, 1));
  for (const int token : {60, 61}) s.draft(token);
  ASSERT_TRUE(s.reserve(3));
  s.advance(3);
  EXPECT_EQ(pool.available(), 1);
  s.append(tokens_from(70, 1));
  EXPECT_EQ(s.drafts(), 0);
  EXPECT_EQ(s.pending(), 1);
  EXPECT_EQ(pool.available(), 1);
  s.release_spare();
  EXPECT_EQ(pool.available(), 2);
  EXPECT_EQ(s.pages().size(), 1u);
}

TEST(PagePool, a_page_that_came_to_hold_something_else_has_no_followers) {
  PagePool pool = pool_of(2);
  const std::vector<int> a = tokens_from(0, kPageTokens), b = tokens_from(100, kPageTokens),
                         c = tokens_from(200, kPageTokens);
  const int first = *pool.take(), second = *pool.take();
  pool.publish(first, {}, a);
  pool.publish(second, first, b);
  pool.release(first);
  pool.release(second);
  ASSERT_EQ(pool.take(), first) << "unused for longest";
  pool.publish(first, {}, c);
  EXPECT_FALSE(pool.find({}, a));
  EXPECT_FALSE(pool.find(first, b));
  EXPECT_EQ(pool.find({}, c), first);
}

TEST(Sequence, without_room_nothing_is_taken) {
  PagePool pool = pool_of(2);
  Sequence s(pool, tokens_from(0, 3 * kPageTokens));
  EXPECT_FALSE(s.reserve(2 * kPageTokens + 1));
  EXPECT_EQ(pool.available(), 2);
  EXPECT_TRUE(s.reserve(2 * kPageTokens));
  EXPECT_EQ(pool.available(), 0);
  s.release();
  EXPECT_EQ(pool.available(), 2);
  EXPECT_EQ(s.pending(), s.size());
}

}  // namespace
}  // namespace shenhong
