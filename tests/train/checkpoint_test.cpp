#include "train/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "core/error.h"
#include "train/run_lock.h"

namespace shenhong {
namespace {

// In memory where there is such a place: hundreds of syncs then cost nothing.
fs::path scratch() { return fs::exists("/dev/shm") ? "/dev/shm" : fs::temp_directory_path(); }

class Checkpoint : public testing::Test {
 protected:
  void SetUp() override {
    run_ = scratch() / fmt::format("checkpoint-{}", ::getpid());
    fs::remove_all(run_);
    fs::create_directories(run_);
  }
  void TearDown() override { fs::remove_all(run_); }

  TensorGroups groups() {
    return {{"weights", {{"a", weights_}, {"b", {weights_.data(), 3}}}},
            {"optimizer", {{"a.exp_avg", moments_}}}};
  }
  // The trainer's memory after `step` steps.
  void train_to(int64_t step) {
    for (size_t i = 0; i < weights_.size(); ++i) weights_[i] = float(step) + float(i) / 64;
    for (size_t i = 0; i < moments_.size(); ++i) moments_[i] = -float(step) * float(i);
  }
  void save(int64_t step, const KeepPolicy& keep = {.last = 2},
            const BeforeOperation& before = {}) {
    train_to(step);
    save_checkpoint(run_, step, groups(), {{"tokens", step * 1000}, {"seed", "深红"}}, keep,
                    before);
  }
  // What a restarted trainer finds: the step, 0 for nothing. Checks that all of it is there.
  int64_t resume() {
    notes_.clear();
    const auto found = load_latest(run_, notes_);
    if (!found) return 0;
    train_to(found->step());
    const auto weights = weights_, moments = moments_;
    weights_.assign(weights_.size(), -1), moments_.assign(moments_.size(), -1);
    found->restore(groups());
    EXPECT_EQ(weights_, weights);
    EXPECT_EQ(moments_, moments);
    EXPECT_EQ(found->state().at("tokens"), found->step() * 1000);
    return found->step();
  }
  std::vector<std::string> listing() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(run_)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  static void copy(const fs::path& from, const fs::path& to) {
    fs::remove_all(to);
    fs::copy(from, to, fs::copy_options::recursive);
  }

  fs::path run_;
  std::vector<float> weights_ = std::vector<float>(50), moments_ = std::vector<float>(70);
  std::vector<std::string> notes_;
};

using Names = std::vector<std::string>;

TEST_F(Checkpoint, what_is_saved_is_restored) {
  EXPECT_EQ(resume(), 0);
  save(7);
  EXPECT_EQ(resume(), 7);
  EXPECT_TRUE(notes_.empty());
  EXPECT_EQ(listing(), Names{"step-0000007"});
  save(123456789);
  EXPECT_EQ(resume(), 123456789);
}

TEST_F(Checkpoint, a_flipped_bit_anywhere_falls_back_to_the_one_before) {
  save(1), save(2);
  const fs::path newest = run_ / "step-0000002", pristine = run_ / "pristine";
  copy(newest, pristine);
  for (const char* name :
       {"weights.safetensors", "optimizer.safetensors", "state.json", "MANIFEST.json"}) {
    const std::string bytes = read_file(pristine / name);
    for (size_t i = 0; i < bytes.size(); i += 1 + bytes.size() / 40) {
      copy(pristine, newest);
      std::string broken = bytes;
      broken[i] = char(broken[i] ^ (1 << (i % 8)));
      write_file(newest / name, broken);
      ASSERT_EQ(resume(), 1) << name << " byte " << i;
      ASSERT_EQ(notes_.size(), 1u);
      EXPECT_NE(notes_[0].find(name), std::string::npos) << notes_[0];
    }
  }
  copy(pristine, newest);
  EXPECT_EQ(resume(), 2);
}

TEST_F(Checkpoint, a_cut_or_missing_file_falls_back_to_the_one_before) {
  save(1), save(2);
  const fs::path newest = run_ / "step-0000002", pristine = run_ / "pristine";
  copy(newest, pristine);
  for (const auto& entry : fs::directory_iterator(pristine)) {
    const std::string name = entry.path().filename(), bytes = read_file(entry.path());
    for (const size_t length : {size_t(0), bytes.size() / 2, bytes.size() - 1}) {
      copy(pristine, newest);
      write_file(newest / name, bytes.substr(0, length));
      ASSERT_EQ(resume(), 1) << name << " cut to " << length;
    }
    copy(pristine, newest);
    fs::remove(newest / name);
    ASSERT_EQ(resume(), 1) << name;
    EXPECT_TRUE(fs::exists(run_ / "step-0000002.broken"));
  }
}

TEST_F(Checkpoint, a_swapped_or_hostile_manifest_is_refused) {
  save(1), save(2);
  fs::copy_file(run_ / "step-0000001/MANIFEST.json", run_ / "step-0000002/MANIFEST.json",
                fs::copy_options::overwrite_existing);
  EXPECT_EQ(resume(), 1);
  for (const char* text : {"", "[]", "{}", "null", R"({"files":{"":{}}})"}) {
    save(2);
    write_file(run_ / "step-0000002/MANIFEST.json", text);
    EXPECT_EQ(resume(), 1) << text;
  }
}

// A real kill: a child process dies before its n-th file operation, for every n.
TEST_F(Checkpoint, a_kill_at_any_operation_leaves_the_old_or_the_new_one) {
  int died = 0;
  for (const bool again : {false, true}) {  // `again`: step 3 exists already and is being replaced
    for (int fatal = 0;; ++fatal) {
      fs::remove_all(run_);
      fs::create_directories(run_);
      save(1), save(2);
      if (again) save(3);
      const pid_t child = ::fork();
      if (child == 0) {
        int count = 0;
        save(3, {.last = 2}, [&](std::string_view) {
          if (count++ == fatal) ::_exit(9);
        });
        ::_exit(0);
      }
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      const int64_t found = resume();
      EXPECT_TRUE(!again || found == 3) << fatal;
      EXPECT_GE(found, 2) << fatal;
      for (const std::string& name : listing()) EXPECT_EQ(name.size(), 12u) << name;
      // The restarted trainer goes on saving as if nothing had been.
      save(4);
      EXPECT_EQ(resume(), 4);
      if (WEXITSTATUS(status) == 0) {
        EXPECT_EQ(found, 3);
        break;
      }
      ++died;
    }
  }
  EXPECT_GE(died, 16);
}

TEST_F(Checkpoint, a_failing_operation_keeps_the_old_one_and_cleans_up) {
  for (int fatal = 0; fatal < 7; ++fatal) {
    fs::remove_all(run_);
    fs::create_directories(run_);
    save(1), save(2);
    int count = 0;
    const auto full = [&](std::string_view operation) {
      if (count++ == fatal) fail(Exit::kResources, "{}: no space", operation);
    };
    EXPECT_THROW(save(2, {.last = 2}, full), Error) << fatal;
    EXPECT_EQ(listing(), (Names{"step-0000001", "step-0000002"})) << fatal;
    EXPECT_EQ(resume(), 2);
  }
}

TEST_F(Checkpoint, a_full_disk_is_an_error_of_resources) {
  save(1);
  rlimit old_limit;
  getrlimit(RLIMIT_FSIZE, &old_limit);
  const rlimit limit = {1000, old_limit.rlim_max};
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &limit);
  weights_.resize(10000);
  Exit code = Exit::kOk;
  try {
    save(2);
  } catch (const Error& e) {
    code = e.code();
  }
  setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, old_handler);
  weights_.resize(50);
  EXPECT_EQ(code, Exit::kResources);
  EXPECT_EQ(listing(), Names{"step-0000001"});
  EXPECT_EQ(resume(), 1);
}

TEST_F(Checkpoint, the_last_ones_and_every_nth_are_kept) {
  for (int64_t step = 10; step <= 90; step += 10) save(step, {.last = 2, .every = 40});
  EXPECT_EQ(listing(), (Names{"step-0000040", "step-0000080", "step-0000090"}));
  save(100, {.last = 1});
  EXPECT_EQ(listing(), Names{"step-0000100"});
}

TEST_F(Checkpoint, a_changed_recipe_is_told) {
  save(1);
  const auto why_not = [&](const TensorGroups& wanted) -> std::string {
    try {
      load_latest(run_, notes_)->restore(wanted);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Exit::kBadInput);
      return e.what();
    }
    return "";
  };
  EXPECT_NE(why_not({{"weights", {{"a", weights_}}}}).find("tensor 'b' has no place"),
            std::string::npos);
  EXPECT_NE(why_not({{"weights", {{"c", weights_}}}}).find("tensor 'c' is missing"),
            std::string::npos);
  EXPECT_NE(why_not({{"weights", {{"a", moments_}}}}).find("has 50 numbers, the recipe wants 70"),
            std::string::npos);
  EXPECT_NE(why_not({{"balance", {}}}).find("balance.safetensors"), std::string::npos);
}

TEST_F(Checkpoint, foreign_names_in_the_run_directory_are_left_alone) {
  write_file(run_ / "step-abc/x", "");
  write_file(run_ / "step-7/x", "");
  write_file(run_ / "log.jsonl", "{}\n");
  save(1, {.last = 1}), save(2, {.last = 1});
  EXPECT_EQ(resume(), 2);
  EXPECT_EQ(listing(), (Names{"log.jsonl", "step-0000002", "step-7", "step-abc"}));
}

TEST_F(Checkpoint, a_run_has_one_trainer) {
  const fs::path run = run_ / "run";
  {
    const RunLock lock(run);
    try {
      RunLock second(run);
      ADD_FAILURE();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Exit::kUsage);
      EXPECT_NE(std::string(e.what()).find(fmt::format("process {} trains", ::getpid())),
                std::string::npos)
          << e.what();
    }
  }
  EXPECT_NO_THROW(RunLock{run});
}

}  // namespace
}  // namespace shenhong
