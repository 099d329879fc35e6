#include "data/prepare.h"

#include <xxhash.h>

#include <algorithm>
#include <map>
#include <optional>

#include "core/error.h"
#include "core/lines.h"
#include "core/parallel.h"
#include "core/progress.h"
#include "core/random.h"
#include "data/clean.h"
#include "data/clean_step.h"
#include "data/corpus.h"
#include "data/dedup.h"
#include "data/shards.h"
#include "text/bpe_train.h"
#include "text/tokenizer.h"

namespace shenhong {
namespace {

// Part of every key: raise it when a step's output changes for the same settings and input.
constexpr int kStepsVersion = 1;

std::string hash_file(const fs::path& path) {
  const MappedFile file(path);
  return hash_hex(file.text());
}

// The value of a hash as a fraction of its range.
double as_share(uint64_t hash) { return double(hash >> 11) * 0x1p-53; }

class Preparation {
 public:
  Preparation(const DataConfig& config, const PrepareOptions& options)
      : config_(config), options_(options), out_(options.out) {
    report_.sources.resize(config.sources.size());
    for (size_t s = 0; s < config.sources.size(); ++s)
      report_.sources[s].source = config.sources[s].name;
  }

  DataReport run() {
    for (size_t s = 0; s < config_.sources.size(); ++s) clean(s);
    find_duplicates();
    for (size_t s = 0; s < config_.sources.size(); ++s) split(s);
    train_tokenizer();
    const Tokenizer tokenizer = Tokenizer::load(out_ / "tokenizer.json");
    report_.vocab_size = tokenizer.vocab_size();
    const std::string vocabulary_key = hash_file(out_ / "tokenizer.json");
    for (size_t s = 0; s < config_.sources.size(); ++s) encode(s, tokenizer, vocabulary_key);
    write_file(out_ / "report.json", dump_json(report_json(report_), 2) + "\n");
    write_file(out_ / "report.md", report_markdown(report_));
    return std::move(report_);
  }

 private:
  const SourceConfig& source(size_t s) const { return config_.sources[s]; }
  fs::path directory(size_t s) const { return out_ / source(s).name; }

  // Does the work unless MARKER says that it was done for the same key; returns what the work
  // returned, then or now.
  template <class Work>
  Json step(const std::string& name, const fs::path& marker, const Json& inputs, Work&& work) {
    const std::string key = hash_hex(dump_json({kStepsVersion, name, inputs}));
    keys_[name] = key;
    if (fs::exists(marker)) {
      const Json json = parse_json(read_file(marker), marker.string());
      if (json.is_object() && json.value("key", "") == key && json.contains("result"))
        return json["result"];
      // What the marker stands for is about to be overwritten.
      fs::remove(marker);
    }
    const Json result = work();
    write_file(marker, dump_json({{"step", name}, {"key", key}, {"result", result}}, 2) + "\n");
    if (options_.after_step) options_.after_step(name);
    return result;
  }

  void clean(size_t s) {
    const std::vector<fs::path> files = corpus_files(source(s), options_.root);
    Json inputs = fields_to_json(source(s));
    inputs.erase("weight");
    inputs.erase("validation_share");
    inputs.erase("path");
    for (const fs::path& file : files)
      inputs["files"].push_back({file.filename().string(), hash_file(file)});
    const Json result = step("clean " + source(s).name, directory(s) / "cleaned.json", inputs, [&] {
      return fields_to_json(clean_source(source(s), files, directory(s), config_.memory_mib << 20,
                                         options_.progress));
    });
    CleanCounts counts;
    fields_from_json(counts, result, (directory(s) / "cleaned.json").string());
    report_.sources[s].read = counts.read;
    report_.sources[s].dropped = counts.dropped;
    kept_.push_back(counts.kept);
  }

  Json keys_of(const std::string& step_name) const {
    Json keys = Json::array();
    for (const SourceConfig& s : config_.sources) keys.push_back(keys_.at(step_name + s.name));
    return keys;
  }

  void find_duplicates() {
    const fs::path file = out_ / "duplicates.bin";
    step("duplicates", out_ / "duplicates.json", {keys_of("clean "), config_.near_duplicate}, [&] {
      std::optional<Progress> bar;
      if (options_.progress) bar.emplace("find duplicates", 0);
      std::vector<MappedFile> maps;
      std::vector<std::span<const Signature>> signatures;
      for (size_t s = 0; s < config_.sources.size(); ++s) {
        const fs::path path = directory(s) / "signatures.bin";
        const std::span<const uint8_t> bytes = maps.emplace_back(path).bytes();
        SH_CHECK(bytes.size() == size_t(kept_[s]) * sizeof(Signature), kBadInput,
                 "{}: {} bytes, want {} for {} documents; remove it to have it made again",
                 path.string(), bytes.size(), size_t(kept_[s]) * sizeof(Signature), kept_[s]);
        signatures.emplace_back(reinterpret_cast<const Signature*>(bytes.data()), size_t(kept_[s]));
      }
      const std::vector<Verdict> verdicts =
          find_copies(signatures, config_.near_duplicate, config_.memory_mib << 20);
      write_file(file, {reinterpret_cast<const char*>(verdicts.data()), verdicts.size()});
      if (bar) bar->finish();
      return Json::object();
    });
  }

  // Which side of the split a document falls on; copies in other punctuation fall on the same.
  bool is_validation(size_t s, const Document& document) const {
    const double own = source(s).validation_share;
    const double share = own >= 0 ? own : config_.validation_share;
    const std::string& key = document.split_key.empty() ? document.text : document.split_key;
    return as_share(hash_letters(key)) < share;
  }

  void split(size_t s) {
    const double own = source(s).validation_share;
    const Json inputs = {keys_.at("duplicates"), source(s).name,
                         own >= 0 ? own : config_.validation_share};
    const Json result = step("split " + source(s).name, directory(s) / "documents.json", inputs,
                             [&] { return fields_to_json(write_documents(s)); });
    SourceReport counted;
    fields_from_json(counted, result, (directory(s) / "documents.json").string());
    SourceReport& report = report_.sources[s];
    report.dropped += counted.dropped;
    report.train_documents = counted.train_documents;
    report.valid_documents = counted.valid_documents;
    report.characters = counted.characters;
    report.han = counted.han;
    report.bytes = counted.bytes;
  }

  SourceReport write_documents(size_t s) {
    const MappedFile verdicts(out_ / "duplicates.bin");
    size_t at = 0, end = 0;
    for (size_t i = 0; i <= s; ++i) {
      at = end;
      end += size_t(kept_[i]);
    }
    SH_CHECK(verdicts.bytes().size() >= end, kBadInput,
             "{}: {} bytes, want at least {}; remove duplicates.json to have it made again",
             (out_ / "duplicates.bin").string(), verdicts.bytes().size(), end);
    ZstdWriter train(directory(s) / "train.jsonl.zst"), valid(directory(s) / "valid.jsonl.zst");
    std::optional<Progress> bar;
    if (options_.progress) bar.emplace("split " + source(s).name, int64_t(end - at));
    const size_t first = at;
    SourceReport report;
    report.source = source(s).name;
    read_documents(directory(s) / "cleaned.jsonl.zst", [&](Document&& document) {
      SH_CHECK(at < end, kBadInput, "{}: more documents than its marker says",
               (directory(s) / "cleaned.jsonl.zst").string());
      const Verdict verdict = Verdict(verdicts.bytes()[at++]);
      if (bar) bar->update(int64_t(at - first));
      if (verdict != Verdict::kKeep) {
        ++(verdict == Verdict::kExactCopy ? report.dropped.exact_copy : report.dropped.near_copy);
        return;
      }
      const bool held_out = is_validation(s, document);
      ++(held_out ? report.valid_documents : report.train_documents);
      const TextCounts counts = count_text(document.text);
      report.characters += counts.characters;
      report.han += counts.han;
      report.bytes += int64_t(document.text.size());
      (held_out ? valid : train).write(document_line(document) + "\n");
    });
    train.finish();
    valid.finish();
    if (bar) bar->finish();
    return report;
  }

  // For each source the share of its training documents that the tokenizer sees: in proportion to
  // the weights, as much as fits the sample.
  std::vector<double> sample_shares() const {
    std::vector<double> shares(config_.sources.size(), 0);
    double room = config_.tokenizer_sample_mib * 0x1p20;
    std::vector<size_t> open;
    for (size_t s = 0; s < shares.size(); ++s)
      if (source(s).weight > 0 && report_.sources[s].bytes > 0) open.push_back(s);
    // Sources that the common factor would use more than once are taken whole; the rest shares
    // anew.
    for (bool again = true; again && !open.empty();) {
      double wanted = 0;
      for (const size_t s : open) wanted += source(s).weight * double(report_.sources[s].bytes);
      const double factor = room / wanted;
      again = false;
      for (const size_t s : std::vector<size_t>(open)) {
        shares[s] = std::min(1.0, factor * source(s).weight);
        if (shares[s] < 1) continue;
        room = std::max(0.0, room - double(report_.sources[s].bytes));
        std::erase(open, s);
        again = true;
      }
    }
    return shares;
  }

  void train_tokenizer() {
    const std::vector<double> shares = sample_shares();
    const Json inputs = {keys_of("split "), shares, config_.vocab_size, config_.max_han_per_token,
                         config_.seed};
    step("tokenizer", out_ / "tokenizer.done.json", inputs, [&] {
      std::optional<Progress> bar;
      if (options_.progress) bar.emplace("train tokenizer", 0);
      BpeTrainer trainer;
      int64_t bytes = 0;
      for (size_t s = 0; s < config_.sources.size(); ++s) {
        if (shares[s] <= 0) continue;
        read_documents(directory(s) / "train.jsonl.zst", [&](Document&& document) {
          const uint64_t hash = XXH3_64bits_withSeed(document.text.data(), document.text.size(),
                                                     config_.seed ^ fnv1a("tokenizer sample"));
          if (as_share(hash) >= shares[s]) return;
          bytes += int64_t(document.text.size());
          trainer.add(document.text);
          if (bar) bar->update(bytes >> 20, "MiB counted");
        });
      }
      const Tokenizer tokenizer = trainer.train(config_.vocab_size, config_.max_han_per_token);
      tokenizer.save(out_ / "tokenizer.json");
      if (bar)
        bar->finish(fmt::format("{} tokens from {} MiB", tokenizer.vocab_size(), bytes >> 20));
      return Json{{"sample_bytes", bytes}, {"vocab_size", tokenizer.vocab_size()}};
    });
  }

  int64_t write_shards(size_t s, const std::string& split, const Tokenizer& tokenizer,
                       uint64_t vocabulary, Progress* bar) {
    ShardWriter writer(directory(s), split,
                       {.size = tokenizer.vocab_size(),
                        .hash = vocabulary,
                        .bos = tokenizer.bos_id(),
                        .eos = tokenizer.eos_id()});
    std::vector<std::vector<int>> encoded;
    read_document_batches(directory(s) / (split + ".jsonl.zst"), [&](std::vector<Document>& batch) {
      encoded.assign(batch.size(), {});
      parallel_for(int64_t(batch.size()), [&](int64_t i) {
        std::vector<int>& ids = encoded[size_t(i)];
        ids = tokenizer.encode(batch[size_t(i)].text);
        ids.insert(ids.begin(), tokenizer.bos_id());
        ids.push_back(tokenizer.eos_id());
      });
      for (size_t i = 0; i < batch.size(); ++i)
        writer.add(encoded[i], int64_t(batch[i].text.size()));
      if (bar) bar->update(writer.tokens(), "tokens");
    });
    writer.finish();
    return writer.tokens();
  }

  void encode(size_t s, const Tokenizer& tokenizer, const std::string& vocabulary_key) {
    const Json inputs = {keys_.at("split " + source(s).name), vocabulary_key};
    const Json result = step("encode " + source(s).name, directory(s) / "shards.json", inputs, [&] {
      std::optional<Progress> bar;
      if (options_.progress) bar.emplace("encode " + source(s).name, 0);
      const uint64_t vocabulary = vocabulary_hash(out_ / "tokenizer.json");
      const int64_t train = write_shards(s, "train", tokenizer, vocabulary, bar ? &*bar : nullptr);
      const int64_t valid = write_shards(s, "valid", tokenizer, vocabulary, bar ? &*bar : nullptr);
      if (bar) bar->finish(fmt::format("{} tokens", train + valid));
      return Json{{"train_tokens", train}, {"valid_tokens", valid}};
    });
    report_.sources[s].train_tokens = result.value("train_tokens", int64_t{0});
    report_.sources[s].valid_tokens = result.value("valid_tokens", int64_t{0});
  }

  const DataConfig& config_;
  const PrepareOptions& options_;
  fs::path out_;
  DataReport report_;
  std::vector<int64_t> kept_;                // documents after cleaning, per source
  std::map<std::string, std::string> keys_;  // step -> key
};

}  // namespace

DataReport prepare(const DataConfig& config, const PrepareOptions& options) {
  check(config, "[data]");
  return Preparation(config, options).run();
}

}  // namespace shenhong
