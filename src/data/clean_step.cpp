#include "data/clean_step.h"

#include <algorithm>
#include <optional>

#include "core/error.h"
#include "core/lines.h"
#include "core/parallel.h"
#include "core/progress.h"
#include "data/clean.h"
#include "data/corpus.h"
#include "data/dedup.h"

namespace shenhong {
namespace {

constexpr size_t kMaxBatch = 64;

struct CleanedChunk {
  CleanCounts counts;
  std::string lines;
  std::vector<Signature> signatures;
};

CleanedChunk clean_chunk(const SourceConfig& source, const Chunk& chunk) {
  CleanedChunk out;
  for (Document& document : parse_chunk(source, chunk)) {
    ++out.counts.read;
    clean_document(document, source);
    if (const DropReason reason = reason_to_drop(document, source)) {
      ++(out.counts.dropped.*reason);
      continue;
    }
    ++out.counts.kept;
    out.lines += document_line(document) + "\n";
    out.signatures.push_back(sign(document.text));
  }
  return out;
}

bool next_batch(ChunkReader& reader, size_t max_bytes, std::vector<Chunk>& batch) {
  batch.clear();
  size_t bytes = 0;
  for (Chunk chunk; batch.size() < kMaxBatch && bytes < max_bytes && reader.next(chunk);) {
    bytes += chunk.bytes.size();
    batch.push_back(std::move(chunk));
  }
  return !batch.empty();
}

}  // namespace

CleanCounts clean_source(const SourceConfig& source, const std::vector<fs::path>& files,
                         const fs::path& directory, int64_t memory_bytes, bool progress) {
  ZstdWriter documents(directory / "cleaned.jsonl.zst");
  std::string signatures;
  CleanCounts total;
  ChunkReader reader(source, files);
  std::optional<Progress> bar;
  if (progress) bar.emplace("clean " + source.name, 0);
  std::vector<Chunk> batch;
  std::vector<CleanedChunk> cleaned;
  while (next_batch(reader, size_t(memory_bytes) / 16, batch)) {
    cleaned.assign(batch.size(), {});
    parallel_for(int64_t(batch.size()),
                 [&](int64_t i) { cleaned[size_t(i)] = clean_chunk(source, batch[size_t(i)]); });
    for (const CleanedChunk& chunk : cleaned) {
      documents.write(chunk.lines);
      signatures.append(reinterpret_cast<const char*>(chunk.signatures.data()),
                        chunk.signatures.size() * sizeof(Signature));
      total.read += chunk.counts.read;
      total.kept += chunk.counts.kept;
      total.dropped += chunk.counts.dropped;
    }
    if (bar) bar->update(total.read, "documents");
  }
  documents.finish();
  write_file(directory / "signatures.bin", signatures);
  if (bar) bar->finish(fmt::format("{} of {} documents kept", total.kept, total.read));
  return total;
}

}  // namespace shenhong
