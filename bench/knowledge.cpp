// The knowledge graph's speeds on a made-up graph: import, exact look-up, linking, export.
//   bench_knowledge [TRIPLES]     prints one JSON object; the default is a million triples
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "core/error.h"
#include "core/random.h"
#include "knowledge/export.h"
#include "knowledge/import.h"
#include "knowledge/linker.h"
#include "text/utf8.h"

using namespace shenhong;

namespace {

constexpr int kRelations = 25;
constexpr int kLookUps = 20'000;

double seconds_of(const std::function<void()>& run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// A name of three Chinese characters; 8,000 of the common block make 5e11 of them.
std::string name_of(int64_t entity) {
  std::string name;
  for (int i = 0; i < 3; ++i)
    append_utf8(name, char32_t(0x4E00 + uniform_below(8000, 1, uint64_t(entity), uint64_t(i))));
  return name;
}

std::string iri_of(int64_t entity) { return "urn:bench:e" + std::to_string(entity); }

std::string line_of(int64_t triple, int64_t entities) {
  const auto subject = int64_t(uniform_below(uint64_t(entities), 2, uint64_t(triple), 0));
  const auto relation = int64_t(uniform_below(kRelations, 2, uint64_t(triple), 1));
  const auto object = int64_t(uniform_below(uint64_t(entities), 2, uint64_t(triple), 2));
  return fmt::format("<{}> <urn:bench:r{}> <{}> .\n", iri_of(subject), relation, iri_of(object));
}

Json microseconds(std::vector<double> times) {
  std::ranges::sort(times);
  const auto at = [&](double share) {
    return 1e6 * times[size_t(share * double(times.size() - 1))];
  };
  return {{"p50", at(0.5)}, {"p95", at(0.95)}, {"p99", at(0.99)}};
}

}  // namespace

int main(int argc, char** argv) {
  const int64_t triples = argc > 1 ? std::atoll(argv[1]) : 1'000'000;
  const int64_t entities = triples / 10, named = std::min<int64_t>(entities, 200'000);
  const fs::path work = fs::temp_directory_path() / fmt::format("bench_knowledge_{}", ::getpid());
  fs::create_directories(work);
  std::string text;
  for (int64_t i = 0; i < triples - named; ++i) text += line_of(i, entities);
  for (int64_t e = 0; e < named; ++e)
    text += fmt::format("<{}> <http://www.w3.org/2000/01/rdf-schema#label> \"{}\"@zh .\n",
                        iri_of(e), name_of(e));
  write_file(work / "facts.nt", text);

  Json out = {{"triples", triples}, {"entities", entities}, {"names", named}};
  {
    Store store = Store::create(work / "bench.kg");
    ImportOptions options;
    options.progress = false;
    ImportReport report;
    out["import_s"] = seconds_of([&] { report = import_file(store, work / "facts.nt", options); });
    out["facts"] = report.added;
    out["bytes_per_fact"] = double(fs::file_size(work / "bench.kg")) / double(report.added);
  }
  Store store = Store::open(work / "bench.kg");
  for (const bool inverse : {false, true}) {
    std::vector<double> times;
    int64_t found = 0;
    for (int i = 0; i < kLookUps; ++i) {
      const auto e = int64_t(uniform_below(uint64_t(entities), 3, uint64_t(i), inverse));
      const auto r = uniform_below(kRelations, 4, uint64_t(i), inverse);
      times.push_back(seconds_of([&] {
        const TermId entity = store.find(Term::iri(iri_of(e)));
        const TermId relation = store.find(Term::iri("urn:bench:r" + std::to_string(r)));
        found += int64_t(
            (inverse ? store.facts_to(entity, relation) : store.facts(entity, relation)).size());
      }));
    }
    out[inverse ? "look_up_op_us" : "look_up_sp_us"] = microseconds(times);
    out[inverse ? "found_op" : "found_sp"] = found;
  }
  std::optional<Linker> linker;
  out["linker_start_s"] = seconds_of([&] { linker.emplace(store); });
  std::string article;
  for (int64_t i = 0; i < 100'000; ++i)
    article += name_of(int64_t(uniform_below(uint64_t(2 * named), 5, uint64_t(i), 0))) +
               "，这里有一些别的话。";
  size_t mentions = 0;
  const double link_s =
      seconds_of([&] { mentions = linker->link_all(fold_text(article), article).size(); });
  out["link_characters_per_s"] = double(count_characters(article)) / link_s;
  out["mentions"] = mentions;
  int64_t bytes = 0;
  out["export_s"] = seconds_of([&] {
    export_facts(store, ExportFormat::kNQuads,
                 [&](std::string_view piece) { bytes += int64_t(piece.size()); });
  });
  out["export_bytes"] = bytes;
  fs::remove_all(work);
  fmt::print("{}\n", dump_json(out));
}
