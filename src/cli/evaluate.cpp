#include "cli/evaluate.h"

#include <unistd.h>

#include <numbers>

#include "core/progress.h"
#include "eval/poems.h"
#include "infer/engine.h"
#include "infer/model_text.h"
#include "infer/score.h"
#include "model/gguf_model.h"
#include "text/flat_vocabulary.h"
#include "train/trainer.h"

namespace shenhong {

Json evaluate_poems(const fs::path& model_directory, int samples, const fs::path& line_index,
                    uint64_t seed, const EngineOptions& engine_options) {
  Engine engine(model_directory, engine_options);
  PoemEvalOptions options;
  options.samples = samples;
  options.seed = seed;
  LineIndex lines;
  if (fs::exists(line_index)) {
    lines = LineIndex::load(line_index);
    options.training_lines = &lines;
  }
  Progress progress("poems", 4 * samples);
  options.progress = [&](int done, int) { progress.update(done); };
  const Json result = eval_poems(
      [&](const std::string& request, uint64_t sample_seed) {
        GenerateRequest generate;
        generate.prompt = engine.chat_prompt({{"user", request}});
        generate.sampling = engine.default_sampling();
        generate.sampling.seed = sample_seed;
        return engine.generate(generate).text;
      },
      options);
  progress.finish();
  return result;
}

Json evaluate_facts(const fs::path& model_directory, FactEvalOptions options,
                    const EngineOptions& engine_options) {
  Engine engine(model_directory, engine_options);
  options.scratch = fs::temp_directory_path() / fmt::format("shenhong-facts-{}", ::getpid());
  Progress progress("facts",
                    int64_t(options.seeds.size()) * kQuestionKinds * 2 * options.questions);
  options.progress = [&](int64_t done, int64_t) { progress.update(done); };
  const Json result = eval_facts(engine, options);
  progress.finish();
  fs::remove_all(options.scratch);
  return result;
}

std::vector<ValidationLoss> decoded_loss(const Weights& weights,
                                         const std::vector<Windows>& sources, int64_t windows,
                                         CacheFormat cache) {
  Decoder decoder(weights);
  const ModelConfig& config = weights.config();
  PagePool pool(config,
                cache_bytes(config, config.max_position_embeddings, /*drafts=*/false, cache),
                /*drafts=*/false, cache);
  return validation_loss([&](const Batch& batch) { return score(decoder, pool, batch); },
                         config.num_nextn_predict_layers, sources, windows);
}

namespace {

// What the shards of data for this model are marked with: the hash of its tokenizer.json. A GGUF
// has the vocabulary without the file; the data's own file stands for it where the two say the
// same.
uint64_t vocabulary_hash_of(const fs::path& model, const fs::path& prepared) {
  if (!is_gguf(model)) return vocabulary_hash(model / "tokenizer.json");
  const fs::path file = prepared / "tokenizer.json";
  const auto flat = [](const Tokenizer& tokenizer, const fs::path& source) {
    return flatten_vocabulary(tokenizer.json(), source.string());
  };
  SH_CHECK(flat(load_tokenizer(model), model) == flat(Tokenizer::load(file), file), kBadInput,
           "{}: another tokenizer than that of {}; evaluate on data of the model's own recipe",
           file.string(), model.string());
  return vocabulary_hash(file);
}

}  // namespace

std::vector<Windows> prepared_windows(const ModelConfig& config, const fs::path& model,
                                      const fs::path& prepared, const std::string& split) {
  std::vector<Windows> sources;
  SH_CHECK(fs::is_directory(prepared), kBadInput,
           "{}: no such directory; run `shenhong data RECIPE` first", prepared.string());
  const uint64_t tokenizer = vocabulary_hash_of(model, prepared);
  std::vector<fs::path> directories;
  for (const auto& entry : fs::directory_iterator(prepared))
    if (fs::exists(entry.path() / (split + "-00000.tok"))) directories.push_back(entry.path());
  std::sort(directories.begin(), directories.end());
  SH_CHECK(!directories.empty(), kBadInput,
           "{}: holds no {} shards; run `shenhong data RECIPE` first", prepared.string(), split);
  for (const fs::path& directory : directories) {
    auto source = std::make_shared<TokenSource>(directory, split);
    SH_CHECK(source->vocabulary().hash == tokenizer, kBadInput,
             "{}: was made with another tokenizer than that of {}; evaluate on data of the model's "
             "own recipe",
             directory.string(), model.string());
    if (source->tokens() == 0) continue;
    sources.emplace_back(source,
                         config.max_position_embeddings + config.num_nextn_predict_layers + 1,
                         Packing::kStream, 1);
  }
  return sources;
}

Json evaluate_loss(const fs::path& model, const fs::path& prepared, int64_t windows,
                   CacheFormat cache) {
  const std::unique_ptr<Weights> weights = load_weights(model);
  return summed_loss(decoded_loss(
      *weights, prepared_windows(weights->config(), model, prepared, "valid"), windows, cache));
}

Json summed_loss(const std::vector<ValidationLoss>& losses) {
  Json out = {{"sources", Json::array()}};
  double nats = 0, bits = 0, bytes = 0;
  int64_t tokens = 0;
  for (const ValidationLoss& loss : losses) {
    out["sources"].push_back({{"source", loss.source},
                              {"nats_per_token", loss.nats_per_token},
                              {"bits_per_byte", loss.bits_per_byte},
                              {"tokens", loss.tokens}});
    const double total = loss.nats_per_token * double(loss.tokens);
    nats += total;
    bits += total / std::numbers::ln2;
    if (loss.bits_per_byte > 0) bytes += total / std::numbers::ln2 / loss.bits_per_byte;
    tokens += loss.tokens;
  }
  out["nats_per_token"] = tokens > 0 ? nats / double(tokens) : 0;
  out["bits_per_byte"] = bytes > 0 ? bits / bytes : 0;
  out["tokens"] = tokens;
  return out;
}

}  // namespace shenhong
