#include "knowledge/import.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>

#include "core/error.h"
#include "core/lines.h"
#include "core/progress.h"
#include "knowledge/vocabulary.h"

namespace shenhong {
namespace {

constexpr int64_t kProgressEvery = 50'000;
constexpr size_t kShownOfBadLine = 200;

std::string format_of(const fs::path& file) {
  fs::path name = file.filename();
  if (name.extension() == ".zst") name = name.stem();
  const std::string extension = name.extension().string();
  return extension.empty() ? "" : extension.substr(1);
}

// Rejects are few or many: the file is made when the first one comes.
class Rejects {
 public:
  explicit Rejects(fs::path path) : path_(std::move(path)) {}
  void add(int64_t line, std::string_view fault, std::string_view text) {
    if (!file_) {
      file_.reset(std::fopen(path_.c_str(), "w"));
      SH_CHECK(file_, kResources, "{}: cannot be written, and some lines are to be rejected",
               path_.string());
    }
    fmt::print(file_.get(), "{}\t{}\t{}\n", line, fault, text.substr(0, kShownOfBadLine));
    ++count_;
  }
  int64_t count() const { return count_; }
  fs::path path() const { return count_ > 0 ? path_ : fs::path(); }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  fs::path path_;
  std::unique_ptr<std::FILE, Close> file_;
  int64_t count_ = 0;
};

}  // namespace

void read_ntriples(const fs::path& file, const std::string& default_source, const FactSink& sink) {
  LineReader reader(file);
  std::string line, fault;
  Statement statement;
  Provenance provenance;
  while (reader.next(line)) {
    switch (read_statement(line, statement, fault)) {
      case LineKind::kNothing:
        break;
      case LineKind::kFault:
        sink.reject(reader.number(), fault, line);
        break;
      case LineKind::kStatement:
        provenance.source = statement.graph.value.empty() ? default_source : statement.graph.value;
        sink.add(statement, provenance);
    }
  }
}

ImportReport import_file(Store& store, const fs::path& file, const ImportOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const bool is_stream = file == "-";
  const fs::path path = is_stream ? fs::path("/dev/stdin") : file;
  const std::string format = options.format.empty() ? format_of(file) : options.format;
  constexpr std::string_view kFormats[] = {"nt", "nq", "ttl", "tsv", "csv", "jsonld"};
  SH_CHECK(std::ranges::count(kFormats, format) > 0, kUsage,
           "{}: format '{}' is none of nt, nq, ttl, tsv, csv, jsonld; say which with --format",
           file.string(), format);
  SH_CHECK(is_stream || fs::is_regular_file(path), kBadInput, "{}: no such file", file.string());

  Source source = options.source;
  if (source.name.empty()) source.name = is_stream ? "stdin" : file.filename().string();
  // An import that says nothing of its source leaves what an earlier one said.
  if (!source.url.empty() || !source.licence.empty() || source.trust != 1)
    store.describe_source(source);
  std::string hash;
  if (!is_stream) hash = hash_hex(MappedFile(path).text());
  Store::Batch batch = store.begin("import", file.string(), hash);
  Rejects rejects(store.path().string() + fmt::format(".rejects-{}.tsv", batch.id()));
  ImportReport report;
  report.batch = batch.id();
  std::optional<Progress> bar;
  if (options.progress) bar.emplace("import " + file.filename().string(), 0);
  const std::set<std::string, std::less<>> languages(options.languages.begin(),
                                                     options.languages.end());
  const std::set<std::string, std::less<>> properties(options.properties.begin(),
                                                      options.properties.end());

  // _:b1 of one file is not _:b1 of another (RDF 1.1, section 3.4); the same file gives the same
  // labels.
  const std::string blank_prefix =
      hash.empty() ? fmt::format("batch{}-", batch.id()) : hash.substr(0, 8) + "-";
  const auto own = [&](Term term) {
    if (term.kind == Term::Kind::kBlank) term.value.insert(0, blank_prefix);
    return term;
  };
  FactSink sink;
  sink.add = [&](const Statement& fact, const Provenance& provenance) {
    if (++report.read % kProgressEvery == 0 && bar) bar->update(report.read, "facts");
    const std::string& language = fact.object.language;
    if ((!properties.empty() && !properties.contains(fact.predicate.value)) ||
        (!languages.empty() && !language.empty() && !languages.contains(language))) {
      ++report.filtered;
      return;
    }
    switch (batch.add(own(fact.subject), fact.predicate, own(fact.object), provenance)) {
      case Store::Batch::Outcome::kAdded:
        ++report.added;
        break;
      case Store::Batch::Outcome::kKnown:
        ++report.known;
        break;
      case Store::Batch::Outcome::kRetractedBefore:
        ++report.retracted_before;
        break;
    }
  };
  sink.reject = [&](int64_t line, std::string_view fault, std::string_view text) {
    rejects.add(line, fault, text);
  };

  if (format == "nt" || format == "nq")
    read_ntriples(path, source.name, sink);
  else if (format == "ttl")
    read_turtle(path, source.name, sink);
  else if (format == "jsonld")
    read_jsonld(path, source.name, sink);
  else
    read_table(path, format == "csv" ? ',' : '\t', source.name, store, sink);

  report.rejected = rejects.count();
  report.rejects = rejects.path();
  batch.finish(report.rejected);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (bar)
    bar->finish(fmt::format("{} facts added, {} known, {} rejected", report.added, report.known,
                            report.rejected));
  return report;
}

Json report_to_json(const ImportReport& report) {
  return {{"batch", report.batch},       {"read", report.read},
          {"added", report.added},       {"known", report.known},
          {"filtered", report.filtered}, {"retracted_before", report.retracted_before},
          {"rejected", report.rejected}, {"rejects", report.rejects.string()},
          {"seconds", report.seconds}};
}

}  // namespace shenhong
