#include "knowledge/import.h"

#include "knowledge/example_graph.h"
#include "knowledge/export.h"

namespace shenhong {
namespace {

std::string quads(Store& store) {
  std::string text;
  export_facts(store, ExportFormat::kNQuads, [&](std::string_view piece) { text += piece; });
  return text;
}

TEST(Import, counts_bad_lines_keeps_them_aside_and_goes_on) {
  const Scratch scratch;
  Store store = Store::create(scratch / "g.kg");
  const ImportReport report = import_text(
      store, scratch / "x.nt",
      "<urn:a> <urn:p> \"1\" .\nbroken\n# fine\n<urn:b> <urn:p> \"2\" \n<urn:c> <urn:p> \"3\" .\n");
  EXPECT_EQ(report.added, 2);
  EXPECT_EQ(report.rejected, 2);
  const std::string rejects = read_file(report.rejects);
  EXPECT_TRUE(rejects.starts_with("2\twant <IRI>")) << rejects;
  EXPECT_NE(rejects.find("\n4\tthe statement does not end"), std::string::npos) << rejects;
  EXPECT_EQ(store.batches()[0].rejected, 2);
}

TEST(Import, a_quads_graph_and_a_turtle_statements_source_are_the_source) {
  const Scratch scratch;
  Store store = Store::create(scratch / "g.kg");
  import_text(store, scratch / "x.nq",
              "<urn:a> <urn:p> \"1\" <urn:book> .\n<urn:a> <urn:p> \"2\" .\n");
  import_text(store, scratch / "x.ttl",
              "@prefix k: <urn:k:> . @prefix dcterms: <http://purl.org/dc/terms/> .\n"
              "k:a k:p 3 ; dcterms:source \"史记\" ; k:p 4 .\nk:b k:p \"x\"@zh .\n");
  EXPECT_EQ(
      quads(store),
      "<urn:a> <urn:p> \"1\" <urn:book> .\n<urn:a> <urn:p> \"2\" <urn:shenhong:source:x.nq> .\n"
      "<urn:k:a> <urn:k:p> \"3\"^^<http://www.w3.org/2001/XMLSchema#integer> "
      "<urn:shenhong:source:史记> .\n"
      "<urn:k:a> <urn:k:p> \"4\"^^<http://www.w3.org/2001/XMLSchema#integer> "
      "<urn:shenhong:source:史记> .\n"
      "<urn:k:b> <urn:k:p> \"x\"@zh <urn:shenhong:source:x.ttl> .\n");
}

TEST(Import, turtle_loses_the_faulty_statement_alone) {
  const Scratch scratch;
  Store store = Store::create(scratch / "g.kg");
  const ImportReport report = import_text(
      store, scratch / "x.ttl",
      "@prefix k: <urn:k.x:> .\nk:a k:p \"\"\"long. \"quoted\". text. \"\"\" .\n"
      "k:b k:p bad bad ; k:q \"lost\" .\nk:c k:p \"a \\\". b\", 'c. d' . # end. of line\n"
      "k:d k:p nope:x .\nk:e k:p 1.5 .");
  EXPECT_EQ(report.rejected, 2) << read_file(report.rejects);
  EXPECT_EQ(report.added, 4);
  EXPECT_TRUE(read_file(report.rejects).starts_with("3\t")) << read_file(report.rejects);
  EXPECT_NE(quads(store).find("\"long. \\\"quoted\\\". text. \""), std::string::npos)
      << quads(store);
}

TEST(Import, tables_turn_names_into_entities_and_relations) {
  const Scratch scratch;
  Store store = Store::create(scratch / "g.kg");
  import_text(store, scratch / "p.ttl", kPoets);
  const ImportReport report =
      import_text(store, scratch / "x.csv",
                  "s,p,o,source,confidence,from,to\n春望,作者,杜甫,全唐诗,0.9\n"
                  "春望,体裁,\"五律, "
                  "律诗\"\n姚明[球员],身高,226\n\"开\",作者\n春望,作者,杜甫,x,2\n\"坏,作者,x\n");
  EXPECT_EQ(report.rejected, 3) << read_file(report.rejects);
  const auto works = store.facts_to(store.find(entity("杜甫")), store.find(relation("author")));
  ASSERT_EQ(works.size(), 2u);
  EXPECT_EQ(works[1].confidence, 0.9);
  EXPECT_EQ(store.source(works[1].source).name, "全唐诗");
  EXPECT_TRUE(store.find(Term::text("五律, 律诗", "zh")));
  EXPECT_TRUE(store.find(relation("体裁")));
  EXPECT_TRUE(store.find(Term::integer(226)));
  const auto names =
      store.facts(store.find(entity("姚明[球员]")),
                  store.find(Term::iri("http://www.w3.org/2000/01/rdf-schema#label")));
  ASSERT_EQ(names.size(), 1u);
  EXPECT_EQ(store.term(names[0].object).value, "姚明");
}

TEST(Import, keeps_the_wanted_languages_and_properties_alone) {
  const Scratch scratch;
  Store store = Store::create(scratch / "g.kg");
  ImportOptions options;
  options.languages = {"zh"};
  options.properties = {"urn:p"};
  const ImportReport report =
      import_text(store, scratch / "x.nt",
                  "<urn:a> <urn:p> \"甲\"@zh .\n<urn:a> <urn:p> \"a\"@fr .\n<urn:a> <urn:q> "
                  "\"乙\"@zh .\n<urn:a> <urn:p> <urn:b> .\n",
                  options);
  EXPECT_EQ(report.added, 2);
  EXPECT_EQ(report.filtered, 2);
}

TEST(Import, blank_nodes_belong_to_their_file_and_their_statement) {
  const Scratch scratch;
  Store store = Store::create(scratch / "g.kg");
  import_text(store, scratch / "a.nt", "_:x <urn:p> \"1\" .\n_:x <urn:p> \"2\" .\n");
  import_text(store, scratch / "b.nt", "_:x <urn:p> \"3\" .\n");
  EXPECT_EQ(store.statistics()["subjects"], 2);
  EXPECT_EQ(
      import_text(store, scratch / "a.nt", "_:x <urn:p> \"1\" .\n_:x <urn:p> \"2\" .\n").known, 2);
  import_text(store, scratch / "c.ttl", "[] <urn:q> 1 .\n[] <urn:q> 2 .\n");
  EXPECT_EQ(store.statistics()["subjects"], 4);
}

TEST(Import, what_is_known_of_a_source_stays_when_a_later_import_says_nothing_of_it) {
  const Scratch scratch;
  Store store = Store::create(scratch / "g.kg");
  ImportOptions options;
  options.source = {"book", "http://example.org", "CC0", 0.5};
  import_text(store, scratch / "a.nt", "<urn:a> <urn:p> \"1\" .\n", options);
  options.source = {"book", "", "", 1};
  import_text(store, scratch / "b.nt", "<urn:b> <urn:p> \"1\" .\n", options);
  const Fact fact = store.facts_about(store.find(Term::iri("urn:b")))[0];
  EXPECT_EQ(store.source(fact.source).trust, 0.5);
  EXPECT_EQ(store.source(fact.source).licence, "CC0");
}

TEST(Import, a_zero_byte_is_a_reject_and_not_the_end) {
  const Scratch scratch;
  Store store = Store::create(scratch / "g.kg");
  using namespace std::string_literals;
  const ImportReport report = import_text(store, scratch / "x.ttl",
                                          "<urn:a> <urn:p> \"1\0\" .\n<urn:b> <urn:p> \"2\" .\n"s);
  EXPECT_EQ(report.rejected, 1);
  EXPECT_EQ(report.added, 1);
}

TEST(Import, json_ld_is_read_expanded_and_never_with_a_context) {
  const Scratch scratch;
  Store store = Store::create(scratch / "g.kg");
  const ImportReport report = import_text(
      store, scratch / "x.jsonld",
      R"({"@graph": [{"@id": "urn:a", "@type": ["urn:T"], "urn:p": [{"@value": "甲", "@language": "zh"}, {"@id": "urn:b"}], "q": [{"@value": "x"}]},
          {"urn:p": [{"@value": 1}]}, {"@id": "urn:c", "urn:p": [{"@value": 1.5}]}]})");
  EXPECT_EQ(report.added, 3);
  EXPECT_EQ(report.rejected, 3) << read_file(report.rejects);
  EXPECT_NE(error_of([&] {
              import_text(store, scratch / "y.jsonld", R"({"@context": "http://x", "@graph": []})");
            }).find("is ever fetched"),
            std::string::npos)
      << error_of([&] {
           import_text(store, scratch / "y.jsonld", R"({"@context": "http://x", "@graph": []})");
         });
}

TEST(Import, an_unknown_format_or_a_missing_file_is_an_error_in_one_line) {
  const Scratch scratch;
  Store store = Store::create(scratch / "g.kg");
  EXPECT_NE(error_of([&] { import_text(store, scratch / "x.docx", "x"); }).find("format 'docx'"),
            std::string::npos);
  EXPECT_NE(error_of([&] { import_file(store, scratch / "none.nt", {}); }).find("no such file"),
            std::string::npos);
  EXPECT_EQ(store.batches().size(), 0u);
}

}  // namespace
}  // namespace shenhong
