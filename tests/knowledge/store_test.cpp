#include "knowledge/store.h"

#include "knowledge/example_graph.h"
#include "knowledge/export.h"

namespace shenhong {
namespace {

const Provenance kSource = {"a book", 0.9, "", ""};

std::string exported(Store& store, ExportFormat format = ExportFormat::kTable) {
  std::string text;
  export_facts(store, format, [&](std::string_view piece) { text += piece; });
  return text;
}

int64_t add(Store& store, const std::vector<std::array<const char*, 3>>& facts) {
  Store::Batch batch = store.begin("add", "", "");
  for (const auto& [s, p, o] : facts) batch.add(entity(s), relation(p), entity(o), kSource);
  const int64_t id = batch.id();
  batch.finish();
  return id;
}

std::vector<std::string> objects(Store& store, const char* s, const char* p) {
  std::vector<std::string> out;
  for (const Fact& fact : store.facts(store.find(entity(s)), store.find(relation(p))))
    out.push_back(store.term(fact.object).value.substr(std::string("urn:shenhong:entity:").size()));
  return out;
}

TEST(Store, finds_by_subject_and_by_object_and_keeps_where_from) {
  const Scratch scratch;
  Store store = Store::create(scratch / "g.kg");
  add(store, {{"静夜思", "作者", "李白"}, {"将进酒", "作者", "李白"}, {"春望", "作者", "杜甫"}});
  EXPECT_EQ(objects(store, "静夜思", "作者"), std::vector<std::string>{"李白"});
  const auto works = store.facts_to(store.find(entity("李白")), store.find(relation("作者")));
  ASSERT_EQ(works.size(), 2u);
  EXPECT_EQ(works[0].confidence, 0.9);
  EXPECT_EQ(store.source(works[0].source).name, "a book");
  EXPECT_EQ(store.find(entity("屈原")), 0);
  EXPECT_TRUE(store.facts(0, store.find(relation("作者"))).empty());
}

TEST(Store, the_same_fact_twice_is_one_and_a_second_source_another) {
  const Scratch scratch;
  Store store = Store::create(scratch / "g.kg");
  add(store, {{"静夜思", "作者", "李白"}, {"静夜思", "作者", "李白"}});
  Store::Batch batch = store.begin("add", "", "");
  EXPECT_EQ(batch.add(entity("静夜思"), relation("作者"), entity("李白"), kSource),
            Store::Batch::Outcome::kKnown);
  EXPECT_EQ(batch.add(entity("静夜思"), relation("作者"), entity("李白"), {"another", 1, "", ""}),
            Store::Batch::Outcome::kAdded);
  batch.finish();
  EXPECT_EQ(store.statistics()["facts"], 2);
}

TEST(Store, a_batch_that_is_rolled_back_leaves_no_trace_in_the_export) {
  const Scratch scratch;
  Store store = Store::create(scratch / "g.kg");
  add(store, {{"a", "p", "b"}});
  const std::string before = exported(store);
  const int64_t version = store.version();
  const int64_t second = add(store, {{"c", "p", "d"}, {"a", "p", "x"}});
  EXPECT_EQ(store.roll_back(second), 2);
  EXPECT_EQ(exported(store), before);
  EXPECT_GT(store.version(), version + 1);
  EXPECT_NE(error_of([&] { store.roll_back(second); }).find("rolled back already"),
            std::string::npos);
  EXPECT_NE(error_of([&] { store.roll_back(99); }).find("no batch 99"), std::string::npos);
}

TEST(Store, retracted_facts_are_gone_stay_gone_and_come_back_by_rollback_or_restore) {
  const Scratch scratch;
  Store store = Store::create(scratch / "g.kg");
  add(store, {{"a", "p", "b"}});
  const Fact fact = store.facts(store.find(entity("a")), store.find(relation("p")))[0];
  Store::Batch batch = store.begin("retract", "", "");
  EXPECT_TRUE(batch.retract(fact.id));
  EXPECT_FALSE(batch.retract(fact.id));
  const int64_t id = batch.id();
  batch.finish();
  EXPECT_TRUE(objects(store, "a", "p").empty());
  EXPECT_FALSE(store.fact(fact.id));
  EXPECT_TRUE(store.facts_to(store.find(entity("b")), store.find(relation("p"))).empty());

  Store::Batch again = store.begin("import", "", "");
  EXPECT_EQ(again.add(entity("a"), relation("p"), entity("b"), {"another", 1, "", ""}),
            Store::Batch::Outcome::kRetractedBefore);
  again.finish();
  EXPECT_TRUE(objects(store, "a", "p").empty());

  store.roll_back(id);
  EXPECT_EQ(objects(store, "a", "p"), std::vector<std::string>{"b"});
  Store::Batch retract = store.begin("retract", "", "");
  retract.retract(fact.id);
  retract.finish();
  Store::Batch restore = store.begin("add", "", "");
  EXPECT_EQ(restore.restore(entity("a"), relation("p"), entity("b"), kSource),
            Store::Batch::Outcome::kAdded);
  restore.finish();
  EXPECT_EQ(objects(store, "a", "p"), std::vector<std::string>{"b"});
}

TEST(Store, a_batch_that_does_not_finish_is_undone_also_after_a_crash) {
  const Scratch scratch;
  {
    Store store = Store::create(scratch / "g.kg");
    add(store, {{"a", "p", "b"}});
    Store::Batch batch = store.begin("import", "", "");
    batch.add(entity("c"), relation("p"), entity("d"), kSource);
  }
  Store store = Store::open(scratch / "g.kg", Access::kWrite);
  EXPECT_EQ(store.statistics()["facts"], 1);
  // What a process that was killed in the middle leaves: an open batch and some of its facts.
  add(store, {{"e", "p", "f"}});
  {
    Database database(scratch / "g.kg", Access::kWrite);
    database.run("UPDATE batch SET state = 'open' WHERE id = (SELECT max(id) FROM batch)");
  }
  Store after = Store::open(scratch / "g.kg", Access::kWrite);
  EXPECT_EQ(after.statistics()["facts"], 1);
  EXPECT_TRUE(after.batches().back().rolled_back);
}

TEST(Store, the_export_does_not_depend_on_the_order_of_imports) {
  const Scratch scratch;
  Store one = Store::create(scratch / "1.kg"), two = Store::create(scratch / "2.kg");
  add(one, {{"a", "p", "b"}, {"c", "q", "d"}});
  add(one, {{"a", "p", "a"}});
  add(two, {{"a", "p", "a"}, {"c", "q", "d"}, {"a", "p", "b"}});
  for (const ExportFormat format :
       {ExportFormat::kNQuads, ExportFormat::kTable, ExportFormat::kJsonLd})
    EXPECT_EQ(exported(one, format), exported(two, format));
}

TEST(Store, exports_that_are_imported_export_the_same) {
  const Scratch scratch;
  Store store = Store::create(scratch / "g.kg");
  Store::Batch batch = store.begin("add", "", "");
  batch.add(entity("a"), relation("p"), Term::text("line\nand \"tab\"\t", "zh"),
            {"《书》", 0.5, "-221", "-206"});
  batch.add(entity("a"), relation("n"), Term::integer(-5), {"http://example.org/s", 1, "", ""});
  batch.finish();
  for (const auto& [format, name] :
       {std::pair(ExportFormat::kTable, "x.tsv"), std::pair(ExportFormat::kNQuads, "x.nq"),
        std::pair(ExportFormat::kJsonLd, "x.jsonld")}) {
    Store copy = Store::create(scratch / (std::string(name) + ".kg"));
    const ImportReport report = import_text(copy, scratch / name, exported(store, format));
    EXPECT_EQ(report.rejected, 0) << name;
    EXPECT_EQ(report.added, 2) << name;
    if (format == ExportFormat::kTable)
      EXPECT_EQ(exported(copy), exported(store));
    else
      EXPECT_EQ(exported(copy, ExportFormat::kJsonLd), exported(store, ExportFormat::kJsonLd));
  }
}

TEST(Store, refuses_what_is_no_graph_in_one_line) {
  const Scratch scratch;
  EXPECT_NE(error_of([&] { Store::open(scratch / "none.kg"); }).find("kg init --graph"),
            std::string::npos);
  write_file(scratch / "text.kg", std::string(10'000, 'x'));
  EXPECT_NE(error_of([&] { Store::open(scratch / "text.kg"); }).find("not an SQLite file"),
            std::string::npos);
  { Database(scratch / "foreign.kg", Access::kCreate).run("CREATE TABLE t (x)"); }
  EXPECT_NE(error_of([&] { Store::open(scratch / "foreign.kg"); }).find("no graph of this program"),
            std::string::npos);
  { Store::create(scratch / "g.kg"); }
  EXPECT_NE(error_of([&] { Store::create(scratch / "g.kg"); }).find("exists already"),
            std::string::npos);
  { Database(scratch / "g.kg", Access::kWrite).run("PRAGMA user_version = 7"); }
  EXPECT_NE(error_of([&] { Store::open(scratch / "g.kg"); }).find("layout 7"), std::string::npos);
}

TEST(Store, a_damaged_file_is_an_error_and_no_crash) {
  const Scratch scratch;
  {
    Store store = Store::create(scratch / "g.kg");
    Store::Batch batch = store.begin("add", "", "");
    for (int i = 0; i < 5000; ++i)
      batch.add(entity("e" + std::to_string(i)), relation("p"), Term::integer(i), kSource);
    batch.finish();
  }
  std::string bytes = read_file(scratch / "g.kg");
  for (size_t at = 8192 * 3; at < bytes.size(); ++at) bytes[at] = char(at * 37);
  write_file(scratch / "g.kg", bytes);
  const std::string error = error_of([&] {
    Store store = Store::open(scratch / "g.kg");
    store.for_each_row([](const Store::Row&) {});
  });
  EXPECT_NE(error.find("is damaged"), std::string::npos) << error;
}

TEST(Store, another_writer_makes_one_wait_and_then_give_up_by_name) {
  const Scratch scratch;
  Store store = Store::create(scratch / "g.kg");
  Database other(scratch / "g.kg", Access::kWrite);
  Database impatient(scratch / "g.kg", Access::kWrite, /*busy_timeout_ms=*/0);
  other.run("BEGIN EXCLUSIVE");
  EXPECT_NE(error_of([&] { impatient.run("BEGIN IMMEDIATE"); }).find("another process"),
            std::string::npos);
}

}  // namespace
}  // namespace shenhong
