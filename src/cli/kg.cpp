// shenhong kg ...: the knowledge graph, from files of facts to answers with citations.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "cli/grounding_options.h"
#include "cli/verbs.h"
#include "core/error.h"
#include "knowledge/ask.h"
#include "knowledge/attached.h"
#include "knowledge/export.h"
#include "knowledge/import.h"

namespace shenhong {
namespace {

struct KgOptions {
  std::string graph, file, text, format, source, url, licence, subject, relation, object, as_of,
      languages, properties;
  double trust = 1, confidence = 1;
  int64_t number = 0;
  bool json = false, empty = false, allow_private = false;
};
using Options = std::shared_ptr<KgOptions>;

fs::path graph_path(const KgOptions& options) {
  if (!options.graph.empty()) return options.graph;
  return default_graph();
}

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    if (end > at) out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

void print_report(const ImportReport& report, bool json) {
  if (json) return fmt::print("{}\n", dump_json(report_to_json(report)));
  fmt::print("batch {}: {} facts added, {} known before", report.batch, report.added, report.known);
  if (report.filtered) fmt::print(", {} filtered out", report.filtered);
  if (report.retracted_before)
    fmt::print(", {} retracted earlier and still so", report.retracted_before);
  if (report.rejected)
    fmt::print(", {} lines rejected ({})", report.rejected, report.rejects.string());
  fmt::print(", {:.1f} s\n", report.seconds);
}

void init(const KgOptions& options) {
  const fs::path path = graph_path(options);
  std::vector<fs::path> files;
  if (!options.empty) {
    std::error_code unreadable;
    for (const auto& entry : fs::directory_iterator("knowledge", unreadable))
      if (entry.path().extension() == ".ttl") files.push_back(entry.path());
    SH_CHECK(!files.empty(), kBadInput,
             "knowledge/: no .ttl here; run this where the starter graph lies, or give --empty");
    std::ranges::sort(files);
  }
  Store store = Store::create(path);
  Json reports = Json::array();
  for (const fs::path& file : files) {
    ImportOptions import;
    import.progress = false;
    const ImportReport report = import_file(store, file, import);
    reports.push_back(report_to_json(report));
    if (!options.json) {
      fmt::print("{}: ", file.string());
      print_report(report, false);
    }
  }
  if (options.json)
    fmt::print("{}\n", dump_json({{"graph", path.string()}, {"imports", reports}}));
  else
    fmt::print("{}: {} facts\n", path.string(), store.statistics()["facts"].get<int64_t>());
}

void import(const KgOptions& options) {
  ImportOptions import;
  import.format = options.format;
  import.source = {options.source, options.url, options.licence, options.trust};
  import.languages = split_list(options.languages);
  if (!options.properties.empty()) {
    std::string list = read_file(options.properties);
    std::ranges::replace(list, '\n', ',');
    import.properties = split_list(list);
  }
  Store store = Store::open(graph_path(options), Access::kWrite);
  print_report(import_file(store, options.file, import), options.json);
}

void export_graph(const KgOptions& options) {
  Store store = Store::open(graph_path(options));
  const ExportFormat format = export_format(options.format.empty() ? "nq" : options.format);
  if (options.file.empty() || options.file == "-") {
    export_facts(store, format,
                 [](std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); });
    SH_CHECK(std::fflush(stdout) == 0, kResources, "standard output: cannot be written");
    return;
  }
  std::string text;
  export_facts(store, format, [&](std::string_view piece) { text += piece; });
  write_file(options.file, text);
}

void stat(const KgOptions& options) {
  Store store = Store::open(graph_path(options));
  const Json statistics = store.statistics();
  if (options.json) return fmt::print("{}\n", dump_json(statistics));
  fmt::print("{}  version {}  {} facts about {} subjects, {} retracted, {} terms, {:.1f} MiB\n",
             store.path().string(), statistics["version"].get<int64_t>(),
             statistics["facts"].get<int64_t>(), statistics["subjects"].get<int64_t>(),
             statistics["retracted"].get<int64_t>(), statistics["terms"].get<int64_t>(),
             double(statistics["bytes"].get<int64_t>()) / (1 << 20));
  for (const char* table : {"predicates", "sources"}) {
    fmt::print("\n{}\n", table);
    for (const auto& [name, count] : statistics[table].items())
      fmt::print("{:10}  {}\n", count.get<int64_t>(), name);
  }
}

void print_fact(Store& store, const Fact& fact) {
  fmt::print("{:<8} {} {} {}  [{}]\n", fact.id, term_text(store.term(fact.subject)),
             term_text(store.term(fact.predicate)), term_text(store.term(fact.object)),
             store.source(fact.source).name);
}

// All entities of exactly this name, or the one of this <IRI>.
std::vector<TermId> entities_of(Store& store, const std::string& name) {
  if (name.starts_with('<')) {
    const TermId id = store.find(term_of_text(name));
    return id ? std::vector{id} : std::vector<TermId>();
  }
  std::vector<TermId> out;
  for (const Candidate& bearer : Linker(store).bearers(name)) out.push_back(bearer.entity);
  return out;
}

void facts(const KgOptions& options) {
  Store store = Store::open(graph_path(options));
  const std::vector<TermId> entities = entities_of(store, options.text);
  SH_CHECK(!entities.empty(), kUsage, "{}: nothing of the name '{}'", store.path().string(),
           options.text);
  Json list = Json::array();
  for (const TermId entity : entities) {
    for (const Fact& fact : store.facts_about(entity)) {
      if (options.json)
        list.push_back(fact_to_json(store, fact));
      else
        print_fact(store, fact);
    }
  }
  if (options.json) fmt::print("{}\n", dump_json(list));
}

void link(const KgOptions& options) {
  Store store = Store::open(graph_path(options));
  const Linker linker(store);
  const FoldedText folded = fold_text(options.text);
  Json list = Json::array();
  for (const Mention& mention : linker.link(folded, options.text)) {
    Json candidates = Json::array();
    for (const Candidate& candidate : mention.candidates)
      candidates.push_back(
          {{"entity", term_text(store.term(candidate.entity))}, {"weight", candidate.weight}});
    if (options.json) {
      list.push_back({{"name", mention.name},
                      {"start", folded.begins[mention.begin]},
                      {"end", folded.ends[mention.end - 1]},
                      {"candidates", candidates}});
      continue;
    }
    fmt::print("{}", mention.name);
    for (const Json& candidate : candidates)
      fmt::print("  {} ({:.2f})", candidate["entity"].get<std::string>(),
                 candidate["weight"].get<double>());
    fmt::print("\n");
  }
  if (options.json) fmt::print("{}\n", dump_json(list));
}

void ask(const KgOptions& options) {
  const std::unique_ptr<Graph> graph = open_graph(graph_path(options));
  Asker asker(*graph);
  if (graph->remote) graph->remote->begin_answer();
  AskOptions ask_options;
  ask_options.as_of = options.as_of;
  const Answer answer = asker.ask(options.text, ask_options);
  Json json = asker.to_json(answer, language_of(options.text));
  if (graph->remote) json["kg_backend"] = remote_status_name(graph->remote->status());
  if (options.json) return fmt::print("{}\n", dump_json(json));
  fmt::print("{}\n", answer.text);
  for (const Json& citation : json["citations"]) {
    const Json& fact = citation["facts"].back();
    fmt::print("  [{}] {} — {}\n", citation["index"].get<int>(), fact["subject"].get<std::string>(),
               fact["source"].get<std::string>());
  }
  if (graph->remote && !graph->remote->fault().empty())
    fmt::print(stderr, "{}\n", graph->remote->fault());
}

void attach(const KgOptions& options) {
  const EndpointConfig config{options.url, options.allow_private, options.file};
  SparqlEndpoint endpoint(config);
  // Asked once, so that a wrong address is found now and not in an answer.
  const RemoteAnswer trial = endpoint.bearers("shenhong");
  SH_CHECK(trial.status == RemoteStatus::kOk || trial.status == RemoteStatus::kTruncated, kFailure,
           "{}", trial.fault);
  const fs::path graph = graph_path(options);
  Store::open(graph, Access::kAppend);
  attach_endpoint(graph, config);
  if (options.json)
    fmt::print("{}\n", dump_json({{"graph", graph.string()}, {"endpoint", config.url}}));
  else
    fmt::print("{}: facts that are not here are now looked up at {}\n", graph.string(), config.url);
}

void detach(const KgOptions& options) {
  const fs::path graph = graph_path(options);
  const auto config = attached_endpoint(graph);
  SH_CHECK(config, kUsage, "{}: no endpoint is attached", graph.string());
  detach_endpoint(graph);
  if (options.json)
    fmt::print("{}\n", dump_json({{"graph", graph.string()}, {"detached", config->url}}));
  else
    fmt::print("{}: {} is not asked any more; what it told stays, in batches of kind fetch\n",
               graph.string(), config->url);
}

void add(const KgOptions& options) {
  Store store = Store::open(graph_path(options), Access::kWrite);
  const std::string source = options.source.empty() ? "by hand" : options.source;
  Store::Batch batch = store.begin("add", "", "");
  FactSink sink;
  std::string fault;
  int64_t added = 0;
  sink.add = [&](const Statement& s, const Provenance& p) {
    added += batch.restore(s.subject, s.predicate, s.object, p) == Store::Batch::Outcome::kAdded;
  };
  sink.reject = [&](int64_t, std::string_view what, std::string_view) { fault = what; };
  read_row({options.subject, options.relation, options.object, source,
            fmt::format("{}", options.confidence)},
           source, store, sink);
  SH_CHECK(fault.empty(), kUsage, "'{}' '{}' '{}': {}", options.subject, options.relation,
           options.object, fault);
  const int64_t id = batch.id();
  batch.finish();
  if (options.json)
    fmt::print("{}\n", dump_json({{"batch", id}, {"added", added}}));
  else
    fmt::print("batch {}: {} facts added\n", id, added);
}

void retract(const KgOptions& options) {
  SH_CHECK(options.number > 0 || !options.text.empty(), kUsage,
           "kg retract: want --fact ID or --entity NAME");
  Store store = Store::open(graph_path(options), Access::kWrite);
  std::vector<int64_t> ids;
  if (options.number > 0) {
    SH_CHECK(store.fact(options.number), kUsage, "{}: no live fact {}", store.path().string(),
             options.number);
    ids.push_back(options.number);
  } else {
    const std::vector<TermId> entities = entities_of(store, options.text);
    SH_CHECK(!entities.empty(), kUsage, "{}: nothing of the name '{}'", store.path().string(),
             options.text);
    SH_CHECK(entities.size() == 1, kUsage,
             "{}: '{}' names {} entities; give the <IRI> that `shenhong kg link` shows",
             store.path().string(), options.text, entities.size());
    for (const Fact& fact : store.facts_about(entities[0], INT64_MAX)) ids.push_back(fact.id);
    for (const Fact& fact : store.facts_with_object(entities[0])) ids.push_back(fact.id);
  }
  Store::Batch batch = store.begin("retract", "", "");
  int64_t retracted = 0;
  for (const int64_t id : ids) retracted += batch.retract(id);
  const int64_t id = batch.id();
  batch.finish();
  if (options.json)
    fmt::print("{}\n", dump_json({{"batch", id}, {"retracted", retracted}}));
  else
    fmt::print("batch {}: {} facts retracted; `shenhong kg rollback {}` brings them back\n", id,
               retracted, id);
}

void batches(const KgOptions& options) {
  Store store = Store::open(graph_path(options));
  Json list = Json::array();
  for (const BatchInfo& batch : store.batches()) {
    list.push_back({{"id", batch.id},
                    {"kind", batch.kind},
                    {"file", batch.file},
                    {"hash", batch.hash},
                    {"time", batch.time},
                    {"facts", batch.facts},
                    {"rejected", batch.rejected},
                    {"rolled_back", batch.rolled_back}});
    if (!options.json)
      fmt::print("{:<5} {:8} {}  {:>9} facts  {}{}\n", batch.id, batch.kind, batch.time,
                 batch.facts, batch.file, batch.rolled_back ? "  (rolled back)" : "");
  }
  if (options.json) fmt::print("{}\n", dump_json(list));
}

void roll_back(const KgOptions& options) {
  Store store = Store::open(graph_path(options), Access::kWrite);
  const int64_t touched = store.roll_back(options.number);
  if (options.json)
    fmt::print("{}\n", dump_json({{"batch", options.number}, {"facts", touched}}));
  else
    fmt::print("batch {} undone: {} facts\n", options.number, touched);
}

}  // namespace

void add_kg(CLI::App& app) {
  CLI::App* kg = app.add_subcommand(
      "kg", "the knowledge graph: facts in and out, look-up, answers with citations");
  kg->require_subcommand(1);
  kg->footer(
      "The graph is one SQLite file, data/graph.kg unless --graph or SHENHONG_GRAPH say otherwise. "
      "Examples:\n"
      "  shenhong kg init\n  shenhong kg ask 秦长城是谁修建的？\n  shenhong kg import facts.tsv "
      "--source 我的表格");
  const auto verb = [&](const char* name, const char* what, void (*run)(const KgOptions&)) {
    auto options = std::make_shared<KgOptions>();
    CLI::App* sub = kg->add_subcommand(name, what);
    sub->add_option("--graph", options->graph, "the graph's file");
    sub->add_flag("--json", options->json, "print JSON");
    sub->callback([options, run] { run(*options); });
    return std::pair(sub, options);
  };
  {
    auto [sub, options] = verb("init", "a new graph with the starter facts of knowledge/", init);
    sub->add_flag("--empty", options->empty, "without the starter facts");
  }
  {
    auto [sub, options] = verb(
        "import", "facts of a file, as one batch: N-Triples, N-Quads, Turtle, TSV, CSV, JSON-LD",
        import);
    sub->add_option("file", options->file, "the file, or - for standard input")->required();
    sub->add_option("--format", options->format,
                    "nt, nq, ttl, tsv, csv, jsonld; else by the file's name");
    sub->add_option("--source", options->source, "who says so; else the file's name");
    sub->add_option("--url", options->url, "where the source is found");
    sub->add_option("--licence", options->licence, "under which the source may be used");
    sub->add_option("--trust", options->trust, "of the source: the higher one wins a conflict")
        ->check(CLI::Range(0.0, 1.0));
    sub->add_option("--languages", options->languages, "keep texts in these alone, such as zh,en");
    sub->add_option("--properties", options->properties,
                    "a file of property IRIs, one a line: keep these alone");
  }
  {
    auto [sub, options] = verb("export", "all facts, in an order of their own", export_graph);
    sub->add_option("file", options->file, "where to; else standard output");
    sub->add_option("--format", options->format, "nq, tsv (with confidence and validity), jsonld");
  }
  verb("stat", "what the graph holds", stat);
  {
    auto [sub, options] = verb("facts", "what the graph says of an entity", facts);
    sub->add_option("entity", options->text, "its name or <IRI>")->required();
  }
  {
    auto [sub, options] = verb("link", "the entities that a text names", link);
    sub->add_option("text", options->text, "the text")->required();
  }
  {
    auto [sub, options] = verb("ask", "an answer from the graph alone, without a model", ask);
    sub->add_option("question", options->text, "in Chinese or English")->required();
    sub->add_option("--as-of", options->as_of, "only what holds in this year or on this date");
  }
  {
    auto [sub, options] = verb("add", "one fact; also brings back a retracted one", add);
    sub->add_option("subject", options->subject, "a name or <IRI>")->required();
    sub->add_option("relation", options->relation, "a name or <IRI>")->required();
    sub->add_option("object", options->object, "a name, a text, a number or <IRI>")->required();
    sub->add_option("--source", options->source, "who says so");
    sub->add_option("--confidence", options->confidence, "from 0 to 1")
        ->check(CLI::Range(0.0, 1.0));
  }
  {
    auto [sub, options] =
        verb("retract", "takes facts out; importing them again does not bring them back", retract);
    sub->add_option("--fact", options->number, "the fact's number, as `kg facts` shows it");
    sub->add_option("--entity", options->text, "all facts of and about this name or <IRI>");
  }
  {
    auto [sub, options] =
        verb("attach", "a SPARQL 1.1 endpoint, asked where the graph is silent", attach);
    sub->add_option("url", options->url, "its http or https address")->required();
    sub->add_flag("--allow-private", options->allow_private,
                  "it may be on this machine or in a private network");
    sub->add_option("--credentials", options->file, "a file with a line user:password");
  }
  verb("detach", "asks the attached endpoint no more", detach);
  verb("batches", "the imports, additions and retractions so far", batches);
  {
    auto [sub, options] = verb("rollback", "undoes a batch", roll_back);
    sub->add_option("batch", options->number, "its number")->required();
  }
}

}  // namespace shenhong
