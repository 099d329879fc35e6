// What `shenhong eval` and the report of `shenhong run` measure on a model directory.
#pragma once

#include "core/file.h"
#include "core/json.h"
#include "eval/facts.h"
#include "infer/engine.h"
#include "infer/weights.h"
#include "train/trainer.h"

namespace shenhong {

// Seeded samples of each form. `line_index`: the training set's lines (data/line_index), for the
// share of samples that hold one; without the file "copied" is null.
Json evaluate_poems(const fs::path& model_directory, int samples, const fs::path& line_index,
                    uint64_t seed = 1, const EngineOptions& engine_options = {});

// Held-out loss of the weights as decoding reads them.
std::vector<ValidationLoss> decoded_loss(const Weights& weights,
                                         const std::vector<Windows>& sources, int64_t windows,
                                         CacheFormat cache = CacheFormat::kF32);

// Windows of the model's context over every source of prepared data (the output of `shenhong data`)
// that has the split: "train" or "valid". Errors name data of another tokenizer.
std::vector<Windows> prepared_windows(const ModelConfig& config, const fs::path& model,
                                      const fs::path& prepared, const std::string& split);

// {"sources": [...], and over all of them "nats_per_token", "bits_per_byte", "tokens"}
Json summed_loss(const std::vector<ValidationLoss>& losses);

// The held-out loss on prepared data, over `windows` windows per source.
Json evaluate_loss(const fs::path& model, const fs::path& prepared, int64_t windows,
                   CacheFormat cache = CacheFormat::kF32);

// Answers from a graph, as `shenhong eval facts` measures them.
Json evaluate_facts(const fs::path& model_directory, FactEvalOptions options,
                    const EngineOptions& engine_options = {});

}  // namespace shenhong
