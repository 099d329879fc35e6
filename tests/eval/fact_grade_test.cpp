#include "eval/fact_grade.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "knowledge/import.h"

namespace shenhong {
namespace {

class FactGrade : public testing::Test {
 protected:
  FactGrade() {
    ImportOptions quiet;
    quiet.progress = false;
    write_file(path_ / "g.tsv",
               "李白\t父亲\t李客\n杜甫\t父亲\t杜闲\n杜闲\t父亲\t杜依\n李白\t生年\t701年\n");
    import_file(store_, path_ / "g.tsv", quiet);
    linker_ = std::make_unique<Linker>(store_);
  }
  ~FactGrade() override { fs::remove_all(path_); }

  Grade grade(const QuizQuestion& question, const std::string& text, size_t claims = 0) {
    return grade_answer(question, text, claims, *linker_);
  }

  static fs::path scratch() {
    const fs::path path = fs::path(testing::TempDir()) / fmt::format("fact_grade_{}", ::getpid());
    fs::create_directories(path);
    return path;
  }
  fs::path path_ = scratch();
  Store store_ = Store::create(path_ / "g.kg");
  std::unique_ptr<Linker> linker_;
  QuizQuestion father_{QuestionKind::kOneHop,
                       Language::kChinese,
                       "李白的父亲是谁",
                       {{"李白", "父亲", false, {"李客"}}},
                       {}};
  QuizQuestion born_{QuestionKind::kOneHop,
                     Language::kChinese,
                     "李白生于哪年",
                     {{"李白", "生年", false, {"701年"}}},
                     {}};
  QuizQuestion silent_{QuestionKind::kMissingFact,
                       Language::kChinese,
                       "杜甫的生年",
                       {{"杜甫", "生年", false, {}}},
                       {}};
};

TEST_F(FactGrade, a_value_of_the_answer_is_right_and_nothing_else_beside_it) {
  EXPECT_EQ(grade(father_, "李白的父亲是李客[1]。"), Grade::kCorrect);
  EXPECT_EQ(grade(father_, "李白的父亲是杜闲[1]。"), Grade::kIncorrect);
  EXPECT_EQ(grade(father_, "李白的父亲是李客或杜闲。"), Grade::kIncorrect)
      << "a hedge that also names a wrong value";
  EXPECT_EQ(grade(born_, "李白生于701年[12]。"), Grade::kCorrect) << "a citation is no number";
  EXPECT_EQ(grade(born_, "李白生于701年或702年。"), Grade::kIncorrect);
  EXPECT_EQ(grade(father_, "春眠不觉晓"), Grade::kIncorrect);
}

TEST_F(FactGrade, to_abstain_is_right_only_where_the_graph_is_silent) {
  EXPECT_EQ(grade(father_, "图谱中没有“李白”的“父亲”。"), Grade::kNotAttempted);
  EXPECT_EQ(grade(silent_, ""), Grade::kIncorrect) << "silence is no admission";
  EXPECT_EQ(grade(silent_, "杜甫的父亲是杜闲[1]，图谱中没有“杜闲”的“生年”。", 1), Grade::kIncorrect)
      << "nor is one that comes after a claim";
  EXPECT_EQ(grade(silent_, "图谱中没有“杜甫”的“生年”。"), Grade::kNotAttempted);
  EXPECT_EQ(grade(silent_, "杜甫生于712年。"), Grade::kIncorrect)
      << "true in the world, but not in the graph";
}

TEST(Share, has_wilsons_interval) {
  const auto [low, high] = Share{50, 1000}.interval();
  EXPECT_NEAR(low, 0.0381, 5e-4);
  EXPECT_NEAR(high, 0.0653, 5e-4);
  EXPECT_DOUBLE_EQ((Share{0, 10}.interval().first), 0);
  EXPECT_NEAR((Share{0, 10}.interval().second), 0.2775, 5e-4);
}

}  // namespace
}  // namespace shenhong
