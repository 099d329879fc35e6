#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>

#include "cli/cache_option.h"
#include "cli/drafts_option.h"
#include "cli/model_option.h"
#include "cli/sampling_options.h"
#include "core/error.h"

namespace shenhong {
namespace {

SamplingConfig resolved(std::vector<std::string> arguments, const SamplingConfig& defaults) {
  CLI::App app;
  SamplingOptions options;
  options.add_to(app);
  app.parse(std::move(arguments));
  return options.resolve(defaults);
}

TEST(SamplingOptions, flags_override_the_models_defaults_and_nothing_else) {
  SamplingConfig defaults;
  defaults.temperature = 0.3;
  defaults.top_k = 7;
  const SamplingConfig config = resolved({"--top-p=0.5", "--seed=12"}, defaults);
  EXPECT_EQ(config.temperature, 0.3);
  EXPECT_EQ(config.top_k, 7);
  EXPECT_EQ(config.top_p, 0.5);
  EXPECT_EQ(config.seed, 12u);
}

TEST(SamplingOptions, without_a_seed_each_run_has_its_own) {
  EXPECT_NE(resolved({}, {}).seed, resolved({}, {}).seed);
}

TEST(SamplingOptions, a_value_out_of_range_is_a_usage_error) {
  EXPECT_THROW(resolved({"--top-p=2"}, {}), Error);
}

TEST(DraftsOption, is_a_number_auto_or_off) {
  const auto parsed = [](std::vector<std::string> arguments) {
    CLI::App app;
    int drafts = kAutoDrafts;
    add_drafts_option(app, drafts);
    app.parse(std::move(arguments));
    return drafts;
  };
  EXPECT_EQ(parsed({}), kAutoDrafts);
  EXPECT_EQ(parsed({"--drafts=off"}), 0);
  EXPECT_EQ(parsed({"--drafts=3"}), 3);
  EXPECT_THROW(parsed({"--drafts=many"}), CLI::ValidationError);
}

TEST(CacheOption, is_the_name_of_a_format) {
  const auto parsed = [](std::vector<std::string> arguments) {
    CLI::App app;
    CacheFormat format = CacheFormat::kF16;
    add_cache_option(app, format);
    app.parse(std::move(arguments));
    return format;
  };
  EXPECT_EQ(parsed({}), CacheFormat::kF16);
  EXPECT_EQ(parsed({"--cache=int8"}), CacheFormat::kInt8);
  EXPECT_EQ(parsed({"--cache=f32"}), CacheFormat::kF32);
  EXPECT_THROW(parsed({"--cache=fp8"}), CLI::ValidationError);
}

// Runs in an empty directory of its own: ./models is looked up from there.
TEST(FindModel, takes_what_is_named_else_the_newest) {
  const fs::path before = fs::current_path(), work = fs::path(testing::TempDir()) /
                                                     fmt::format("find_model_test_{}", ::getpid());
  fs::remove_all(work);
  fs::create_directories(work);
  fs::current_path(work);
  EXPECT_THROW(find_model(""), Error);
  EXPECT_EQ(find_model("elsewhere"), "elsewhere");
  const auto now = fs::file_time_type::clock::now();
  const auto add = [&](const char* name, int age) {
    const fs::path config = fs::path("models") / name / "config.json";
    write_file(config, "{}");
    fs::last_write_time(config, now - std::chrono::hours(age));
  };
  fs::create_directories("models/not_a_model");
  add("old", 5);
  EXPECT_EQ(find_model(""), "models/old");
  add("new", 1);
  EXPECT_EQ(find_model(""), "models/new");
  add("as_new", 1);
  EXPECT_EQ(find_model(""), "models/new");
  fs::current_path(before);
  fs::remove_all(work);
}

}  // namespace
}  // namespace shenhong
