#include "knowledge/quiz.h"

#include "knowledge/example_graph.h"
#include "knowledge/graph.h"
#include "text/utf8.h"

#include <cctype>
#include <set>

namespace shenhong {
namespace {

fs::path source(const char* file) { return fs::path(SHENHONG_SOURCE_DIR) / file; }

// A small invented world and the questions of the repository.
struct World {
  explicit World(uint64_t seed = 5) {
    Store store = Store::create(scratch / "w.kg");
    ImportOptions quiet;
    quiet.progress = false;
    import_file(store, source("knowledge/relations.ttl"), quiet);
    Store::Batch batch = store.begin("add", "world", "");
    build_world({.seed = seed, .people = 200}, batch);
    batch.finish();
    graph = std::make_unique<Graph>(std::move(store));
    quiz = std::make_unique<Quiz>(graph->store, graph->linker, graph->relations, questions);
  }
  Scratch scratch;
  Questions questions = Questions::read(source("knowledge/questions.toml"));
  std::unique_ptr<Graph> graph;
  std::unique_ptr<Quiz> quiz;
};

std::vector<std::string> rows(Store& store) {
  std::vector<std::string> rows;
  store.for_each_row([&](const Store::Row& row) {
    rows.push_back(fmt::format("{} {} {}", row.subject, row.predicate, row.object));
  });
  return rows;
}

TEST(World, is_told_by_its_seed) {
  World a, b, c(6);
  EXPECT_EQ(rows(a.graph->store), rows(b.graph->store));
  EXPECT_NE(rows(a.graph->store), rows(c.graph->store));
  EXPECT_GT(rows(a.graph->store).size(), 3000u);
}

TEST(Quiz, asks_what_the_graph_answers) {
  World world;
  for (int kind = 0; kind < kQuestionKinds; ++kind) {
    for (int i = 0; i < 40; ++i) {
      Dice dice(1, uint64_t(kind) << 32 | uint64_t(i));
      const Language language = Language(i % 2);
      const auto question = world.quiz->ask(QuestionKind(kind), language, Split::kTest, dice);
      ASSERT_TRUE(question) << question_kind_name(QuestionKind(kind));
      EXPECT_EQ(question->language, language);
      EXPECT_EQ(question->hops.size(), kind == int(QuestionKind::kTwoHops) ? 2u : 1u);
      EXPECT_NE(question->text.find(question->hops[0].entity), std::string::npos) << question->text;
      EXPECT_EQ(question->text.find('{'), std::string::npos) << question->text;
      EXPECT_EQ(question->hops.back().values.empty(), !is_answerable(question->kind))
          << question->text;
      const auto bearers = world.graph->linker.bearers(question->hops[0].entity);
      EXPECT_EQ(bearers.size(), question->kind == QuestionKind::kUnknownEntity ? 0u : 1u);
      if (!is_answerable(question->kind)) continue;
      // The values are the graph's: the last hop's facts say them.
      EXPECT_EQ(question->facts.size(), question->hops.back().values.size());
    }
  }
}

TEST(Quiz, the_chain_of_two_hops_holds_together) {
  World world;
  for (uint64_t i = 0; i < 30; ++i) {
    Dice dice(2, i);
    const auto question =
        world.quiz->ask(QuestionKind::kTwoHops, Language::kChinese, Split::kTrain, dice);
    ASSERT_TRUE(question);
    ASSERT_EQ(question->hops[0].values.size(), 1u);
    EXPECT_EQ(question->hops[0].values[0], question->hops[1].entity);
  }
}

TEST(Questions, train_and_test_share_no_phrasing) {
  const Questions questions = Questions::read(source("knowledge/questions.toml"));
  EXPECT_GE(questions.relations.size(), 50u);
  // Every sentence that a template can make, as far as letters and characters go.
  const auto sentences = [](const std::vector<Phrase>& phrases) {
    std::set<std::string> all;
    for (const Phrase& phrase : phrases) {
      Slots slots;
      for (const std::string& slot : phrase.slots()) slots[slot] = "<" + slot + ">";
      for (uint64_t i = 0; i < 150; ++i) {
        Dice dice(1, i);
        std::string bare;
        for (const char32_t c : fold_text(phrase.say(slots, dice)).characters)
          if (c > 0x7f ? is_han(c) : std::isalnum(int(c)) || c == '<') append_utf8(bare, c);
        all.insert(bare);
        if (phrase.text().find('[') == std::string::npos) break;
      }
    }
    return all;
  };
  const auto disjoint = [&](const BySplit<Phrase>& lists) {
    for (const Language language : {Language::kChinese, Language::kEnglish}) {
      const auto train = sentences(lists.of(Split::kTrain, language));
      for (const std::string& test : sentences(lists.of(Split::kTest, language)))
        EXPECT_FALSE(train.contains(test)) << test;
    }
  };
  for (const auto& [name, phrasings] : questions.relations) {
    disjoint(phrasings.forward);
    disjoint(phrasings.inverse);
    for (const Language language : {Language::kChinese, Language::kEnglish})
      EXPECT_GE(phrasings.forward.of(Split::kTrain, language).size() +
                    phrasings.forward.of(Split::kTest, language).size(),
                10u)
          << name;
  }
  disjoint(questions.two_hops);
  disjoint(questions.generic);
  disjoint(questions.follow_up);
  disjoint(questions.asides);
}

TEST(Questions, say_which_entry_is_wrong) {
  Scratch scratch;
  const auto fault = [&](const std::string& text) {
    write_file(scratch / "q.toml", text);
    return error_of([&] { Questions::read(scratch / "q.toml"); });
  };
  EXPECT_NE(fault("[relation.born]\nzh = ['谁生']\n").find("want the slots {s}"),
            std::string::npos);
  EXPECT_NE(fault("[relation.born]\nzh = ['{s}生']\n").find("has no list 'en'"), std::string::npos);
  EXPECT_NE(fault("x = 1\n").find("has no table [relation]"), std::string::npos);
}

TEST(LookUp, chooses_by_trust_and_language_and_tells_of_disagreement) {
  Scratch scratch;
  Store store = Store::create(scratch / "g.kg");
  import_text(store, scratch / "p.ttl", kPoets);
  Relations relations(store);
  LookUp look_up(store, relations);
  const TermId poet = store.find(entity("李白"));
  const Direction occupation{store.find(relation("occupation")), false},
      born{store.find(relation("born")), false};
  const auto chinese = look_up.values(poet, occupation, Language::kChinese);
  ASSERT_EQ(chinese.size(), 1u);
  EXPECT_EQ(chinese[0].text, "唐代诗人");
  EXPECT_EQ(look_up.values(poet, born, Language::kChinese)[0].text, "701年");
  EXPECT_FALSE(look_up.disagree(born, look_up.values(poet, born, Language::kChinese)));
  Store::Batch batch = store.begin("add", "test", "");
  batch.add(entity("李白"), relation("born"), Term::integer(699), {"another", 1, "", ""});
  batch.finish();
  EXPECT_TRUE(look_up.disagree(born, look_up.values(poet, born, Language::kChinese)));
  EXPECT_TRUE(
      look_up.values(poet, {store.find(relation("author")), false}, Language::kChinese).empty());
}

}  // namespace
}  // namespace shenhong
