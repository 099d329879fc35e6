#include "knowledge/ntriples.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "knowledge/vocabulary.h"

namespace shenhong {
namespace {

std::string fault_of(std::string_view line) {
  Statement statement;
  std::string fault;
  return read_statement(line, statement, fault) == LineKind::kFault ? fault : "";
}

Statement read(std::string_view line) {
  Statement statement;
  std::string fault;
  EXPECT_EQ(read_statement(line, statement, fault), LineKind::kStatement) << line << ": " << fault;
  return statement;
}

TEST(NTriples, reads_the_kinds_of_terms) {
  const Statement plain = read("<urn:s> <urn:p> \"o\" .");
  EXPECT_EQ(plain.subject, Term::iri("urn:s"));
  EXPECT_EQ(plain.object, Term::text("o"));
  EXPECT_TRUE(plain.graph.value.empty());
  const Statement quad = read("_:b.1 <urn:p> \"李白\"@ZH-Hans <urn:g>. # a comment");
  EXPECT_EQ(quad.subject.kind, Term::Kind::kBlank);
  EXPECT_EQ(quad.subject.value, "b.1");
  EXPECT_EQ(quad.object, Term::text("李白", "zh-hans"));
  EXPECT_EQ(quad.graph.value, "urn:g");
  EXPECT_EQ(
      read("<urn:s><urn:p>\"-7\"^^<http://www.w3.org/2001/XMLSchema#integer>.").object.as_integer(),
      -7);
  EXPECT_EQ(read("<urn:s> <urn:p> _:x.").object.value, "x");
}

TEST(NTriples, reads_escapes_and_refuses_those_that_name_nothing) {
  EXPECT_EQ(read(R"(<urn:s> <urn:p> "\u674E\U0000767d\t\"\\\n" .)").object.value, "李白\t\"\\\n");
  EXPECT_EQ(read(R"(<urn:\u674E> <urn:p> <urn:o> .)").subject.value, "urn:李");
  EXPECT_NE(fault_of(R"(<urn:s> <urn:p> "\uD800" .)").find("names no character"),
            std::string::npos);
  EXPECT_NE(fault_of(R"(<urn:s> <urn:p> "\u12" .)").find("no hexadecimal"), std::string::npos);
  EXPECT_NE(fault_of(R"(<urn:s> <urn:p> "\x" .)").find("does not know"), std::string::npos);
  EXPECT_NE(fault_of(R"(<urn:\u0020> <urn:p> "a" .)").find("blank"), std::string::npos);
}

TEST(NTriples, skips_blank_lines_and_comments) {
  Statement statement;
  std::string fault;
  for (const char* line : {"", "  \t", "# <urn:s> <urn:p> <urn:o> ."})
    EXPECT_EQ(read_statement(line, statement, fault), LineKind::kNothing);
}

TEST(NTriples, says_what_is_wrong_and_where) {
  EXPECT_EQ(fault_of("<urn:s> <urn:p> \"o\""),
            "the statement does not end with a full stop (byte 20)");
  EXPECT_NE(fault_of("\"s\" <urn:p> \"o\" .").find("subject is a literal"), std::string::npos);
  EXPECT_NE(fault_of("<urn:s> _:p \"o\" .").find("predicate is no IRI"), std::string::npos);
  EXPECT_NE(fault_of("<s> <urn:p> \"o\" .").find("scheme"), std::string::npos);
  EXPECT_NE(fault_of("<urn:s> <urn:p> \"o .").find("does not end"), std::string::npos);
  EXPECT_NE(fault_of("<urn:s> <urn:p> \"o\"@1 .").find("language"), std::string::npos);
  EXPECT_NE(fault_of("<urn:s> <urn:p> \"\xFF\" .").find("UTF-8"), std::string::npos);
  EXPECT_NE(fault_of("<urn:s> <urn:p> <urn:o> . x").find("follows"), std::string::npos);
  EXPECT_NE(fault_of("<urn:s> <urn:p>").find("missing"), std::string::npos);
}

TEST(Term, text_and_back_is_the_same) {
  for (const Term& term :
       {Term::iri("urn:x"), Term::text("a\"b\\c\nd\te"), Term::text("李白", "zh"),
        Term::integer(-221), Term{Term::Kind::kBlank, "b0", "", ""}, Term::text("")}) {
    EXPECT_EQ(term_of_text(term_text(term)), term) << term_text(term);
  }
  EXPECT_THROW(term_of_text("李白"), Error);
  EXPECT_THROW(term_of_text("<urn:x> "), Error);
}

TEST(Term, integers_are_whole_numbers_of_an_integer_type) {
  EXPECT_EQ(Term::integer(5).as_integer(), 5);
  EXPECT_FALSE(Term::text("5").as_integer());
  EXPECT_FALSE((Term{Term::Kind::kLiteral, "5x", "", std::string(iri::kInteger)}).as_integer());
  EXPECT_FALSE((Term{Term::Kind::kLiteral, "99999999999999999999", "", std::string(iri::kInteger)})
                   .as_integer());
}

}  // namespace
}  // namespace shenhong
