#include "train/run_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>

#include "core/error.h"
#include "core/random.h"
#include "train/run_plot.h"

namespace shenhong {
namespace {

// In memory where there is such a place: hundreds of syncs then cost nothing.
fs::path scratch() { return fs::exists("/dev/shm") ? "/dev/shm" : fs::temp_directory_path(); }

class Log : public testing::Test {
 protected:
  void SetUp() override {
    run_ = scratch() / fmt::format("run-log-{}", ::getpid());
    fs::remove_all(run_);
  }
  void TearDown() override { fs::remove_all(run_); }
  void write_steps(int64_t from, int64_t to) {
    RunLog log(run_, from);
    for (int64_t step = from + 1; step <= to; ++step)
      log.write({{"kind", "train"}, {"step", step}});
  }
  std::vector<int64_t> steps() {
    std::vector<int64_t> out;
    for (const Json& line : read_run_log(run_ / "log.jsonl")) out.push_back(line["step"]);
    return out;
  }
  fs::path run_;
};

using Steps = std::vector<int64_t>;

TEST_F(Log, lines_are_read_as_written) {
  RunLog log(run_, 0);
  const Json line = {{"kind", "skip"}, {"step", 3}, {"reason", "loss nan 深红"}};
  log.write(line);
  log.write({{"step", 4}, {"loss", NAN}});
  const auto lines = read_run_log(run_ / "log.jsonl");
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], line);
  EXPECT_TRUE(lines[1]["loss"].is_null());
  EXPECT_TRUE(read_run_log(run_ / "nothing.jsonl").empty());
}

TEST_F(Log, a_resumed_run_tells_each_step_once) {
  write_steps(0, 7);
  write_steps(4, 6);
  EXPECT_EQ(steps(), (Steps{1, 2, 3, 4, 5, 6}));
  write_steps(0, 2);
  EXPECT_EQ(steps(), (Steps{1, 2}));
}

TEST_F(Log, every_torn_last_line_is_repaired) {
  write_steps(0, 3);
  const std::string whole = read_file(run_ / "log.jsonl");
  const size_t third = whole.rfind('\n', whole.size() - 2) + 1;
  for (size_t length = third; length < whole.size(); ++length) {
    write_file(run_ / "log.jsonl", whole.substr(0, length));
    EXPECT_EQ(steps(), (Steps{1, 2})) << length;
    write_steps(3, 4);
    EXPECT_EQ(steps(), (Steps{1, 2, 4})) << length;
  }
  write_file(run_ / "log.jsonl", std::string("\x00\xff{\n", 4) + whole + "[]\n7\n");
  EXPECT_EQ(steps(), (Steps{1, 2, 3}));
}

// The shape of a real run, for the eye as well: the page is left in SHENHONG_PLOT when that is set.
TEST_F(Log, the_plot_shows_every_curve_and_fetches_nothing) {
  {
    RunLog log(run_, 0);
    for (int64_t step = 10; step <= 6000; step += 10) {
      const double t = double(step), noise = normal(1, 0, uint64_t(step));
      log.write(
          {{"kind", "train"},
           {"step", step},
           {"tokens", step * 4096},
           {"loss", 3.6 + 5 * std::exp(-t / 400) + 0.08 * noise},
           {"mtp_loss", 4.4 + 4.5 * std::exp(-t / 400) + 0.08 * noise},
           {"lr", 2e-3 * std::min({1.0, t / 300, 1 - std::sqrt(std::max(0.0, (t - 4800) / 1210))})},
           {"gradient_norm", 0.4 * std::exp(0.3 * noise)},
           {"max_vio", 0.1 + 2 * std::exp(-t / 50) + 0.02 * noise},
           {"tokens_per_s", 9000 + 200 * noise},
           {"share", 0.61}});
      if (step % 600 == 0)
        for (const char* source : {"prose", "poems <&>"})
          log.write({{"kind", "validation"},
                     {"step", step},
                     {"source", source},
                     {"nats_per_token", (source[1] == 'r' ? 3.7 : 4.1) + 4 * std::exp(-t / 400)},
                     {"bits_per_byte", 1.5}});
      if (step == 2500) log.write({{"kind", "skip"}, {"step", step}, {"reason", "a spike"}});
    }
    EXPECT_TRUE(fs::exists(run_ / "plot.html"));
    log.finish();
  }
  const std::string html = read_file(run_ / "plot.html");
  for (const char* want : {"held-out prose", "held-out poems &lt;&amp;&gt;", "Learning rate",
                           "MaxVio", "Tokens per second", "step 6000", "step 2500 was skipped",
                           "prefers-color-scheme: dark", "1.5000"})
    EXPECT_NE(html.find(want), std::string::npos) << want;
  for (const char* foreign : {"http", "<script", "src=", "url(", "@import", "nan", "inf"})
    EXPECT_EQ(html.find(foreign), std::string::npos) << foreign;
  EXPECT_LT(html.size(), 200000u);
  if (const char* path = std::getenv("SHENHONG_PLOT")) write_file(path, html);
}

TEST(RunPlot, any_lines_can_be_drawn) {
  EXPECT_NE(run_plot_html({}, "empty").find("nothing logged yet"), std::string::npos);
  const auto page = [](const char* line) {
    return run_plot_html({parse_json(line, "line")}, "one");
  };
  for (const char* line :
       {R"({})", R"({"step":"x"})", R"({"kind":1,"step":1})", R"({"kind":"train"})",
        R"({"kind":"train","step":0,"loss":1})", R"({"kind":"train","step":1,"loss":null})",
        R"({"kind":"train","step":1,"loss":-1e300,"lr":1e300,"tokens_per_s":5e-324})",
        R"({"kind":"validation","step":1})",
        R"({"kind":"validation","step":1,"source":7,"nats_per_token":1})"})
    EXPECT_NE(page(line).find("</html>"), std::string::npos) << line;
}

}  // namespace
}  // namespace shenhong
