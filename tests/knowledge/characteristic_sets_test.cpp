#include "knowledge/characteristic_sets.h"

#include "knowledge/example_graph.h"
#include "knowledge/graph.h"

namespace shenhong {
namespace {

TEST(CharacteristicSets, what_goes_together_could_be_asked) {
  Scratch scratch;
  Graph graph(poets_store(scratch));
  import_text(graph.store, scratch / "more.ttl", R"ttl(
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix sh: <urn:shenhong:schema:> .
@prefix r: <urn:shenhong:relation:> .
r:height rdfs:label "高度"@zh ; sh:question "多少" .
)ttl");
  const CharacteristicSets sets(graph.store, Relations(graph.store));
  const auto may_have = [&](const char* name, const char* of, bool inverse = false) {
    return sets.may_have(graph.store.find(entity(name)), {graph.store.find(relation(of)), inverse});
  };
  EXPECT_TRUE(may_have("静夜思", "author"));
  EXPECT_FALSE(may_have("静夜思", "born")) << "nothing with an author was born";
  EXPECT_TRUE(may_have("孔子", "dynasty")) << "another who was born has one";
  EXPECT_TRUE(may_have("李白", "author", true));
  EXPECT_FALSE(may_have("李白", "author"));
  EXPECT_TRUE(may_have("李白", "height")) << "of a relation that nothing has nothing is known";
  EXPECT_TRUE(sets.may_have(123456, {graph.store.find(relation("born")), false}))
      << "nor of an entity that was not there";
}

}  // namespace
}  // namespace shenhong
