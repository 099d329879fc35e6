// A scratch directory and small graphs for the tests of knowledge/.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>

#include "core/error.h"
#include "knowledge/import.h"
#include "knowledge/store.h"

namespace shenhong {

class Scratch {
 public:
  Scratch() {
    static std::atomic<int> count{0};
    path_ = fs::path(testing::TempDir()) / fmt::format("knowledge_{}_{}", ::getpid(), count++);
    fs::create_directories(path_);
  }
  ~Scratch() { fs::remove_all(path_); }
  fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

inline ImportReport import_text(Store& store, const fs::path& file, const std::string& text,
                                ImportOptions options = {}) {
  write_file(file, text);
  options.progress = false;
  return import_file(store, file, options);
}

inline std::string error_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

inline Term entity(const std::string& name) { return Term::iri("urn:shenhong:entity:" + name); }
inline Term relation(const std::string& name) { return Term::iri("urn:shenhong:relation:" + name); }

// 李白, 静夜思, two 登高 by different poets, and what their relations are called.
inline constexpr const char* kPoets = R"ttl(
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix dcterms: <http://purl.org/dc/terms/> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix sh: <urn:shenhong:schema:> .
@prefix r: <urn:shenhong:relation:> .
@prefix k: <urn:shenhong:entity:> .
r:author rdfs:label "作者"@zh, "author"@en ; sh:question "谁" ; sh:inverseLabel "作品"@zh, "work"@en ;
  sh:cue "谁写的"@zh, "who wrote"@en ; sh:inverseCue "写了什么"@zh .
r:dynasty rdfs:label "朝代"@zh, "dynasty"@en ; sh:question "何物" ; sh:cue "哪个朝代"@zh .
r:born a owl:FunctionalProperty ; rdfs:label "生年"@zh, "year of birth"@en ; sh:question "何时" ; sh:cue "出生"@zh, "born"@en .
r:occupation rdfs:label "身份"@zh, "occupation"@en ; sh:question "何物" ; sh:weakCue "是谁"@zh, "who is"@en .
k:李白 rdfs:label "李白"@zh, "Li Bai"@en ; skos:altLabel "李太白"@zh ; dcterms:source "《旧唐书》" ;
  r:dynasty k:唐朝 ; r:born 701 ; r:occupation "唐代诗人"@zh, "Tang poet"@en .
k:唐朝 rdfs:label "唐朝"@zh, "Tang dynasty"@en .
k:静夜思 rdfs:label "静夜思"@zh, "Quiet Night Thought"@en ; r:author k:李白 .
k:登高_杜甫 rdfs:label "登高"@zh ; r:author k:杜甫 .
k:登高_王维 rdfs:label "登高"@zh ; r:author k:王维 .
k:杜甫 rdfs:label "杜甫"@zh . k:王维 rdfs:label "王维"@zh .
k:孔子 rdfs:label "孔子"@zh, "Confucius"@en ; r:born -551 .
)ttl";

inline Store poets_store(const Scratch& scratch) {
  Store store = Store::create(scratch / "g.kg");
  import_text(store, scratch / "p.ttl", kPoets);
  return store;
}

}  // namespace shenhong
